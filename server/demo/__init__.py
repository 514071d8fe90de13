"""An AWS account on this machine: a control plane by moto, with block and object storage that really hold bytes."""
