"""What an instance restore needs, looked at before anything is made: every choice exists and they fit together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from server.domain.errors import AwsAccessDenied, AwsError, AwsNotFound, AwsRejected
from server.domain.restore import InstanceRestore
from server.domain.workload import Place
from server.ports import Aws, RestoreJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the new instance is launched; kept in the memo, so a repeated launch asks AWS for the very same thing."""

    image_id: str
    instance_type: str
    subnet_id: str
    zone: str
    security_group_ids: list[str]
    key_name: str | None = None
    instance_profile: str | None = None  # its name, not the ARN
    ebs_optimized: bool = False
    http_tokens: str | None = None
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(aws: Aws, job: RestoreJob, options: InstanceRestore) -> Plan:
    """Errors: AwsNotFound for what does not exist, AwsRejected for what does not fit; both say what to choose."""
    recorded = job.record["instance"]
    warnings: list[str] = []
    _check_root(job, recorded.get("rootDeviceName"))
    subnet = _subnet(aws, job.place, options.subnet_id or recorded.get("subnetId"))
    image = _image(aws, job.place, options.image_id or recorded.get("imageId"))
    groups = list(options.security_group_ids) or list(recorded.get("securityGroupIds") or ())
    _check_groups(aws, job.place, groups, subnet)
    instance_type = options.instance_type or recorded.get("instanceType") or ""
    _check_type(aws, job.place, instance_type, image)
    return Plan(
        image_id=image["ImageId"],
        instance_type=instance_type,
        subnet_id=subnet["SubnetId"],
        zone=subnet["AvailabilityZone"],
        security_group_ids=groups,
        key_name=_key(aws, job.place, recorded.get("keyName"), warnings),
        instance_profile=_profile(aws, job.place, options, recorded.get("iamInstanceProfileArn"), warnings),
        ebs_optimized=bool(recorded.get("ebsOptimized")),
        http_tokens=recorded.get("httpTokens"),
        warnings=warnings,
    )


def _check_root(job: RestoreJob, root: str | None) -> None:
    if root and all(disk.document.get("device") != root for disk in job.disks):
        raise AwsRejected(
            f"This point of {job.resource_name} does not hold its system disk {root}, which was excluded.",
            operation="ec2:RunInstances",
            aws_code="NoSystemDisk",
            remedy="Restore its volumes and attach them to an instance, or choose a point that holds the system disk.",
        )


def _subnet(aws: Aws, place: Place, subnet_id: str | None) -> dict[str, Any]:
    if not subnet_id:
        raise _missing("The restore point names no subnet.", "DescribeSubnets", f"Choose a subnet in {place.region}.")
    answer = _found(
        lambda: aws.call(place, "ec2", "describe_subnets", SubnetIds=[subnet_id]),
        f"Subnet {subnet_id} does not exist in {place.region}.",
        f"Choose a subnet of {place.region}.",
    )
    subnet: dict[str, Any] = answer["Subnets"][0]
    if subnet.get("AvailableIpAddressCount", 1) < 1:
        raise AwsRejected(
            f"Subnet {subnet_id} has no free address.", operation="ec2:DescribeSubnets", remedy="Choose another subnet."
        )
    return subnet


def _image(aws: Aws, place: Place, image_id: str | None) -> dict[str, Any]:
    remedy = "Choose an AMI of the same architecture and operating system; the instance's own disks replace its disks."
    if not image_id:
        raise _missing("The restore point names no AMI.", "DescribeImages", remedy)
    problem = f"AMI {image_id} is not available in {place.region}: it was deregistered, or is not shared with this account."
    answer = _found(lambda: aws.call(place, "ec2", "describe_images", ImageIds=[image_id]), problem, remedy)
    images: list[dict[str, Any]] = [i for i in answer["Images"] if i.get("State", "available") == "available"]
    if not images:
        raise _missing(problem, "DescribeImages", remedy)
    return images[0]


def _check_groups(aws: Aws, place: Place, groups: Sequence[str], subnet: dict[str, Any]) -> None:
    remedy = f"Choose security groups of VPC {subnet['VpcId']}."
    if not groups:
        raise _missing("The restore point names no security group.", "DescribeSecurityGroups", remedy)
    answer = _found(
        lambda: aws.call(place, "ec2", "describe_security_groups", GroupIds=list(groups)),
        f"Not all of the security groups {', '.join(groups)} exist in {place.region}.",
        remedy,
    )
    foreign = sorted(g["GroupId"] for g in answer["SecurityGroups"] if g.get("VpcId") != subnet["VpcId"])
    if foreign:
        raise AwsRejected(
            f"Security group {', '.join(foreign)} is not in the VPC of subnet {subnet['SubnetId']}.",
            operation="ec2:DescribeSecurityGroups",
            remedy=remedy,
        )


def _check_type(aws: Aws, place: Place, instance_type: str, image: dict[str, Any]) -> None:
    try:
        answer = aws.call(place, "ec2", "describe_instance_types", InstanceTypes=[instance_type])
    except (AwsNotFound, AwsRejected) as error:
        raise AwsRejected(
            f"{place.region} has no instance type {instance_type!r}.",
            operation="ec2:DescribeInstanceTypes",
            aws_code="InvalidInstanceType",
            remedy="Choose an instance type offered there.",
        ) from error
    supported = answer["InstanceTypes"][0].get("ProcessorInfo", {}).get("SupportedArchitectures") or []
    wanted = image.get("Architecture")
    if wanted and supported and wanted not in supported:
        raise AwsRejected(
            f"Instance type {instance_type} runs {', '.join(supported)}, but AMI {image['ImageId']} is {wanted}.",
            operation="ec2:DescribeInstanceTypes",
            remedy=f"Choose a {wanted} instance type.",
        )


def _key(aws: Aws, place: Place, name: str | None, warnings: list[str]) -> str | None:
    if not name:
        return None
    try:
        aws.call(place, "ec2", "describe_key_pairs", KeyNames=[name])
    except AwsNotFound:
        warnings.append(f"Key pair {name} does not exist in {place.region}: restored without one.")
        return None
    return name


def _profile(aws: Aws, place: Place, options: InstanceRestore, recorded: str | None, warnings: list[str]) -> str | None:
    """The profile's name. A recorded one that is missing is a warning, a chosen one that is missing an error."""
    chosen = options.iam_instance_profile
    name = (chosen if chosen is not None else recorded or "").rpartition("/")[2]
    if not name:
        return None
    try:
        aws.call(place, "iam", "get_instance_profile", InstanceProfileName=name)
    except (AwsNotFound, AwsAccessDenied) as error:
        if chosen is not None:
            raise
        why = "no longer exists" if isinstance(error, AwsNotFound) else "cannot be looked at (iam:GetInstanceProfile is denied)"
        warnings.append(f"The IAM instance profile {name} {why}: restored without one.")
        return None
    return name


def _found(ask: Callable[[], dict[str, Any]], problem: str, remedy: str) -> dict[str, Any]:
    try:
        return ask()
    except AwsNotFound as error:
        raise AwsNotFound(problem, operation=error.operation, aws_code=error.aws_code, remedy=remedy) from error
    except AwsRejected as error:
        if not error.aws_code.endswith(".Malformed"):
            raise
        raise AwsNotFound(problem, operation=error.operation, aws_code=error.aws_code, remedy=remedy) from error


def _missing(problem: str, operation: str, remedy: str) -> AwsError:
    return AwsNotFound(problem, operation=f"ec2:{operation}", remedy=remedy)
