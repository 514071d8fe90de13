"""Something to protect: instances in two Regions and two accounts, on disks with real file systems and real files."""

from server.demo.sample.account import BUCKET, EXTERNAL_ID, ROLE_ARN, seed

__all__ = ["BUCKET", "EXTERNAL_ID", "ROLE_ARN", "seed"]
