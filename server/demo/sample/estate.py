"""The machines of the sample: what each is, where it runs, how its disks are encrypted, whether its guest can be reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from server.demo.credentials import DR_ACCOUNT, SECOND_ACCOUNT

EXTERNAL_ID: Final = "holdfast-demo"
ROLE_NAME: Final = "HoldfastBackup"
ROLE_ARN: Final = f"arn:aws:iam::{SECOND_ACCOUNT}:role/{ROLE_NAME}"
DR_ROLE_NAME: Final = "HoldfastReplicas"
DR_ROLE_ARN: Final = f"arn:aws:iam::{DR_ACCOUNT}:role/{DR_ROLE_NAME}"
BUCKET: Final = "holdfast-demo-backups"  # in us-east-1 of the home account
PROFILE: Final = "sample-server"  # its role lets the agent speak to Systems Manager
PLAIN_PROFILE: Final = "sample-plain"  # its role does not
DISK_KEY: Final = "alias/sample-disks"  # the home account's own key, in both Regions
REPLICA_KEY: Final = "alias/sample-replicas"  # the DR account's, in its Regions
DEFAULT_KEY: Final = "alias/aws/ebs"
HOME_REGIONS: Final = ("us-east-1", "eu-central-1")
DR_REGIONS: Final = ("us-east-1", "eu-central-1", "us-west-2")
LINUX_SCRIPTS: Final = ("/opt/scripts/freeze.sh", "/opt/scripts/thaw.sh")
WINDOWS_SCRIPTS: Final = (r"C:\Scripts\freeze.ps1", r"C:\Scripts\thaw.ps1")
_ENV: Final = {"production": "prod", "staging": "test", "development": "dev"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An instance of the sample; ``disks``: device → image. ``encryption``: the alias of the key of all its disks."""

    name: str
    region: str
    environment: str
    application: str
    tier: str
    key: str = "demo"
    disks: dict[str, str] = field(default_factory=dict)
    instance_type: str = "t3.medium"
    system: Literal["linux", "windows"] = "linux"
    encryption: str = ""
    managed: bool = True
    stopped: bool = False

    @property
    def tags(self) -> dict[str, str]:
        return {
            "Name": self.name,
            "Environment": self.environment,
            "Application": self.application,
            "env": _ENV[self.environment],
            "tier": self.tier,
        }

    @property
    def scripts(self) -> tuple[str, ...]:
        """Those its guest has."""
        if self.tier not in ("db", "app"):
            return ()
        return WINDOWS_SCRIPTS if self.system == "windows" else LINUX_SCRIPTS


MACHINES: Final = (
    Machine(name="web-01", region="us-east-1", environment="production", application="shop", tier="web"),
    Machine(name="web-02", region="us-east-1", environment="production", application="shop", tier="web"),
    Machine(
        name="db-01",
        region="us-east-1",
        environment="production",
        application="shop",
        tier="db",
        disks={"/dev/sdf": "database", "/dev/sdg": "logs"},
        instance_type="m5.large",
    ),
    Machine(name="build-01", region="us-east-1", environment="development", application="ci", tier="build", stopped=True),
    Machine(name="web-eu-01", region="eu-central-1", environment="production", application="shop", tier="web"),
    Machine(
        name="log-eu-01",
        region="eu-central-1",
        environment="staging",
        application="analytics",
        tier="log",
        disks={"/dev/sdf": "logs"},
    ),
    Machine(
        name="win-01",
        region="us-east-1",
        environment="staging",
        application="erp",
        tier="app",
        disks={"xvdf": "logs"},
        system="windows",
    ),
    Machine(
        name="win-eu-01",
        region="eu-central-1",
        environment="staging",
        application="erp",
        tier="app",
        system="windows",
        managed=False,
    ),
    Machine(
        name="vault-01",
        region="us-east-1",
        environment="staging",
        application="vault",
        tier="db",
        disks={"/dev/sdf": "logs"},
        encryption=DISK_KEY,
    ),
    Machine(
        name="mail-eu-01",
        region="eu-central-1",
        environment="staging",
        application="mail",
        tier="mail",
        encryption=DEFAULT_KEY,
        managed=False,
    ),
    Machine(name="partner-01", region="us-east-1", environment="production", application="partner", tier="web", key="demo2"),
)
