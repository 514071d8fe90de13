"""Something to protect: instances in two Regions and two accounts, on disks with real file systems and real files."""

from server.demo.sample.account import seed
from server.demo.sample.estate import BUCKET, DR_ROLE_ARN, EXTERNAL_ID, REPLICA_KEY, ROLE_ARN

__all__ = ["BUCKET", "DR_ROLE_ARN", "EXTERNAL_ID", "REPLICA_KEY", "ROLE_ARN", "seed"]
