"""What the core needs from outside, as Protocols. Adapters implement them; ``bootstrap`` joins the two.

Every method raises only errors of ``domain.errors``; adapters translate foreign ones. Times are aware UTC datetimes,
sizes are bytes unless the name says otherwise.
"""

from server.ports.aws import BLOCK_SIZE, Aws, BlockRef, Blocks
from server.ports.blobs import Availability, Blob, Blobs, Upload
from server.ports.kms import Kms
from server.ports.process import Clock, Jobs, Passwords, Wakeups
from server.ports.store import (
    ActivityLog,
    Collection,
    EventLog,
    Group,
    Operator,
    Order,
    Promises,
    Replies,
    Select,
    Store,
    Tasks,
    Throttle,
    Tx,
    Where,
)
from server.ports.workload import (
    Consistency,
    DiskSnapshot,
    GuestJob,
    GuestStep,
    ManualJob,
    Moment,
    Outcome,
    ReplicaJob,
    RestoreJob,
    SnapshotJob,
    SourceDisk,
    Step,
    Workload,
)

__all__ = [
    "BLOCK_SIZE",
    "ActivityLog",
    "Availability",
    "Aws",
    "Blob",
    "Blobs",
    "BlockRef",
    "Blocks",
    "Clock",
    "Collection",
    "Consistency",
    "DiskSnapshot",
    "EventLog",
    "Group",
    "GuestJob",
    "GuestStep",
    "Jobs",
    "Kms",
    "ManualJob",
    "Moment",
    "Operator",
    "Order",
    "Outcome",
    "Passwords",
    "Promises",
    "ReplicaJob",
    "Replies",
    "RestoreJob",
    "Select",
    "SnapshotJob",
    "SourceDisk",
    "Step",
    "Store",
    "Tasks",
    "Throttle",
    "Tx",
    "Upload",
    "Wakeups",
    "Where",
    "Workload",
]
