"""EC2 by moto, corrected where the main job would otherwise be told something AWS would not say."""
