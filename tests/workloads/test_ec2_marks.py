"""What snapshots tell of their points in their tags, and what can be made of it where nobody knows the points."""

from __future__ import annotations

import functools
import json
import tracemalloc
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.adapters.db.sealing import Sealer
from server.domain.errors import AwsLimit, AwsNotFound
from server.ports import MarkedPoint, PointMark
from server.workloads.ec2 import Ec2, marks, tags
from tests.demo_account import HOME, Site
from tests.workloads.conftest import Driver, Memo, Protected, restore_job, volume_options
from tests.workloads.test_ec2 import tags_of

KEY = Sealer(bytes(range(32)))
OTHER_KEY = Sealer(bytes(32))
TOLD = {"leg": "snapshot", "at": "2026-11-22T20:00:00+00:00", "flags": ["daily", "weekly"], "policy_name": "Nightly"}


def made(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> Memo:
    """A point of its own, as a task leaves it."""
    job = web.job()
    return Driver(clock, lambda memo: ec2.snapshot(job, memo)).finish()


def a_mark(**changes: Any) -> PointMark:
    return PointMark(**{"point_id": uuid4(), "appliance_id": uuid4(), "told": TOLD, **changes})


def ids(document: Memo) -> list[str]:
    return [volume["snapshotId"] for volume in document["volumes"]]


def read(ec2: Ec2, document: Memo, key: Sealer = KEY) -> MarkedPoint:
    (point,) = ec2.read_marks(HOME, ids(document), key)
    return point


def snapshot_tags(site: Site, snapshot_id: str) -> dict[str, str]:
    return tags_of(site.call("describe_snapshots", SnapshotIds=[snapshot_id])["Snapshots"][0])


def test_a_marked_point_comes_back_whole(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    document, mark = made(site, ec2, web, clock), a_mark()
    ec2.mark(HOME, document, mark, KEY)
    assert read(ec2, document) == MarkedPoint(point_id=mark.point_id, state="whole", told=TOLD, document=document)
    listed = [each for each in ec2.marked(HOME) if each.point_id == mark.point_id]
    assert {each.snapshot_id for each in listed} == set(ids(document))
    assert {each.appliance_id for each in listed} == {mark.appliance_id}
    assert len({each.token for each in listed} - {""}) == 1
    for snapshot_id in ids(document):
        held = snapshot_tags(site, snapshot_id)
        assert all(len(value) <= 256 for value in held.values())
        words = " ".join(value for key, value in held.items() if key.startswith(tags.RECORD))
        assert "Nightly" not in words, "what is told is sealed"
        assert web.resource.document["instance"]["subnetId"] not in words


def test_marking_again_changes_nothing(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    document, mark = made(site, ec2, web, clock), a_mark()
    ec2.mark(HOME, document, mark, KEY)
    before = [snapshot_tags(site, each) for each in ids(document)]
    asked = site.account.calls("CreateTags")
    ec2.mark(HOME, document, mark, KEY)
    assert site.account.calls("CreateTags") == asked
    assert [snapshot_tags(site, each) for each in ids(document)] == before


def test_a_marking_cut_short_is_finished_by_the_next(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    document, mark = made(site, ec2, web, clock), a_mark()
    first = ids(document)[0]
    ec2.mark(HOME, {**document, "volumes": document["volumes"][:1]}, a_mark(), OTHER_KEY)
    site.call("delete_tags", Resources=[first], Tags=[{"Key": f"{tags.RECORD}1"}])
    assert read(ec2, {**document, "volumes": document["volumes"][:1]}).state == "partial"
    ec2.mark(HOME, document, mark, KEY)
    assert read(ec2, document).state == "whole"


@pytest.mark.parametrize("kind", ["lost_reply", "error500", "throttle"])
def test_a_mark_whose_answer_was_lost_is_whole(site: Site, ec2: Ec2, web: Protected, clock: FakeClock, kind: str) -> None:
    document, mark = made(site, ec2, web, clock), a_mark()
    site.account.fault("CreateTags", kind, times=2)
    ec2.mark(HOME, document, mark, KEY)
    assert read(ec2, document).document == document


def test_another_key_opens_nothing(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    document, mark = made(site, ec2, web, clock), a_mark()
    ec2.mark(HOME, document, mark, KEY)
    assert read(ec2, document, OTHER_KEY) == MarkedPoint(point_id=mark.point_id, state="foreign")


def test_a_record_opens_on_its_own_snapshot_only(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    document, mark = made(site, ec2, web, clock), a_mark()
    other = made(site, ec2, web, clock)
    ec2.mark(HOME, document, mark, KEY)
    for source, target in zip(ids(document), ids(other), strict=True):
        held = snapshot_tags(site, source)
        copied = {key: value for key, value in held.items() if key.startswith("holdfast:") and key != tags.TASK}
        site.call("create_tags", Resources=[target], Tags=tags.to_aws(copied))
    assert read(ec2, other).state == "foreign"


def test_only_whole_and_completed_sets_are_points(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    document, mark = made(site, ec2, web, clock), a_mark()
    ec2.mark(HOME, document, mark, KEY)
    gone = ids(document)[0]
    site.call("delete_snapshot", SnapshotId=gone)
    assert read(ec2, document).state == "partial"
    assert ec2.missing(HOME, ids(document)) == {gone}


def test_a_volume_is_restored_from_what_the_tags_tell(site: Site, ec2: Ec2, web: Protected, clock: FakeClock) -> None:
    document = made(site, ec2, web, clock)
    ec2.mark(HOME, document, a_mark(), KEY)
    job = restore_job(read(ec2, document).document, ec2)
    restored = Driver(clock, lambda memo: ec2.restore_volumes(job, volume_options(), memo)).finish()
    for each in restored["volumes"]:
        assert site.account.hashes(each["volumeId"]) == site.account.hashes(each["diskId"])


def test_copied_tags_give_way_and_tags_of_others_make_the_record_smaller(
    site: Site, ec2: Ec2, clock: FakeClock, web: Protected
) -> None:
    volume = web.volumes["/dev/sdf"]
    labels = {f"team-{n:02}": uuid4().hex * 7 for n in range(40)}
    site.call("create_tags", Resources=[volume], Tags=tags.to_aws(labels))
    try:
        document = made(site, ec2, web, clock)
    finally:
        site.call("delete_tags", Resources=[volume], Tags=[{"Key": key} for key in labels])
    snapshot_id = next(each["snapshotId"] for each in document["volumes"] if each["volumeId"] == volume)
    copied = [key for key in snapshot_tags(site, snapshot_id) if key.startswith("team-")]
    assert 20 <= len(copied) < 40
    site.call("create_tags", Resources=[snapshot_id], Tags=[{"Key": f"robot-{n}", "Value": "x"} for n in range(5)])
    ec2.mark(HOME, document, a_mark(), KEY)
    assert len(snapshot_tags(site, snapshot_id)) <= tags.TAGS_MAX
    told = read(ec2, document)
    assert told.state == "whole"
    (disk,) = (each for each in told.document["volumes"] if each["volumeId"] == volume)
    (known,) = (each for each in document["volumes"] if each["volumeId"] == volume)
    assert disk == {**known, "tags": {}}
    assert told.document["instance"] == document["instance"], "the other disks' records have it all"


# ---- what an emulated account cannot be brought to do -----------------------------------------------------------------


def instance(**changes: Any) -> dict[str, Any]:
    return {"instanceId": "i-1", "name": "web", "rootDeviceName": "/dev/sda1", "tags": {}, **changes}


class Shelf:
    """Snapshots with tags, as the API shows them."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str]] = {}
        self.aws = ScriptedAws({("ec2", "describe_snapshots"): self._describe, ("ec2", "create_tags"): self._tag})

    def _describe(self, params: dict[str, Any]) -> dict[str, Any]:
        named = {each["Name"]: each["Values"] for each in params.get("Filters", ())}
        wanted = params.get("SnapshotIds") or named.get("snapshot-id") or sorted(self.held)
        if "SnapshotIds" in params and not set(wanted) <= self.held.keys():
            raise AwsNotFound("no", aws_code="InvalidSnapshot.NotFound")
        assert len(wanted) <= 200 or "tag-key" in named
        begin = int(params.get("NextToken", "0"))
        page = [each for each in wanted if each in self.held][begin : begin + params.get("MaxResults", 500)]
        found = [{"SnapshotId": id, "State": "completed", "Tags": tags.to_aws(self.held[id])} for id in page]
        more = {"NextToken": str(begin + len(page))} if begin + len(page) < len(wanted) else {}
        return {"Snapshots": found, **more}

    def _tag(self, params: dict[str, Any]) -> dict[str, Any]:
        for id in params["Resources"]:
            self.held[id] |= tags.from_aws(params["Tags"])
            assert len(self.held[id]) <= tags.TAGS_MAX
        return {}

    def point(self, disks: int, **changes: Any) -> Memo:
        volumes = [
            {"volumeId": f"vol-{n}", "snapshotId": f"snap-{n}", "sizeGib": 8, "device": f"/dev/sd{n:03}", "tags": {}, **changes}
            for n in range(disks)
        ]
        self.held |= {each["snapshotId"]: {} for each in volumes}
        return {"instance": instance(), "at": "2026-11-22", "volumes": volumes}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_a_point_may_have_as_many_disks_as_an_instance(shelf: Shelf) -> None:
    document = shelf.point(128)
    marks.put(shelf.aws, HOME, document, a_mark(), KEY)
    (point,) = marks.read(shelf.aws, HOME, ids(document), KEY)
    assert (point.state, point.document) == ("whole", document)


def test_the_smallest_record_still_names_the_disk(shelf: Shelf) -> None:
    document = shelf.point(1, volumeType="gp3", kmsKeyId=f"arn:aws:kms:eu-central-1:123456789012:key/{uuid4()}")
    document["instance"] = instance(securityGroupIds=[f"sg-{uuid4().hex[:17]}" for _ in range(200)])
    shelf.held["snap-0"] = {f"robot-{n}": "x" for n in range(45)}
    marks.put(shelf.aws, HOME, document, a_mark(), KEY)
    (point,) = marks.read(shelf.aws, HOME, ["snap-0"], KEY)
    assert point.state == "whole"
    assert point.document["volumes"] == document["volumes"]
    assert point.document["instance"] == instance()
    shelf.held["snap-0"] = {f"robot-{n}": "x" for n in range(49)}
    with pytest.raises(AwsLimit, match="has 49 tags") as caught:
        marks.put(shelf.aws, HOME, document, a_mark(), KEY)
    assert caught.value.remedy


def test_a_snapshot_a_listing_leaves_out_is_not_gone(shelf: Shelf) -> None:
    shelf.point(2)
    answers = shelf.aws.answers["ec2", "describe_snapshots"]

    def forgetful(params: dict[str, Any]) -> dict[str, Any]:
        assert callable(answers)
        return {"Snapshots": []} if "Filters" in params else answers(params)

    shelf.aws.answers["ec2", "describe_snapshots"] = forgetful
    assert marks.missing(shelf.aws, HOME, ["snap-0", "snap-1", "snap-2"]) == {"snap-2"}


def test_ten_thousand_snapshots_are_listed_page_by_page(shelf: Shelf) -> None:
    filler = {f"{tags.RECORD}{n}": "x" * 256 for n in range(1, 7)}
    pages: list[list[dict[str, Any]]] = []

    def describe(params: dict[str, Any]) -> dict[str, Any]:
        begin = int(params.get("NextToken", "0"))
        numbers = range(begin, begin + params["MaxResults"])
        held = [tags.to_aws({**filler, tags.POINT: str(UUID(int=n // 2)), tags.APPLIANCE: str(UUID(int=1))}) for n in numbers]
        found = [{"SnapshotId": f"snap-{n:017x}", "Tags": each} for n, each in zip(numbers, held, strict=True)]
        pages.append([])
        return {"Snapshots": found, **({"NextToken": str(begin + len(found))} if begin + len(found) < 10_000 else {})}

    shelf.aws.answers["ec2", "describe_snapshots"] = describe
    next(marks.listed(shelf.aws, HOME))  # reads the service's model, once
    pages.clear()
    tracemalloc.start()
    try:
        number = sum(1 for _ in marks.listed(shelf.aws, HOME))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (number, len(pages)) == (10_000, 20)
    assert peak < 8 << 20, f"{peak / 2**20:.1f} MiB: a page or two, not all of it"


@functools.cache
def lasting_shelf() -> Shelf:
    """One for all examples: it reads AWS's service models."""
    return Shelf()


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=40), st.text(max_size=300), max_size=60), st.integers(0, 40))
def test_any_record_fits_and_comes_back(labels: dict[str, str], robots: int) -> None:
    shelf = lasting_shelf()
    document = shelf.point(1, tags=labels)
    shelf.held["snap-0"] = {f"robot-{n}": "x" for n in range(robots)}
    marks.put(shelf.aws, HOME, document, a_mark(), KEY)
    (point,) = marks.read(shelf.aws, HOME, ["snap-0"], KEY)
    assert point.state == "whole"
    (disk,) = point.document["volumes"]
    assert disk in ({**document["volumes"][0], "tags": labels}, {**document["volumes"][0], "tags": {}})


BROKEN: tuple[dict[str, str], ...] = (
    {f"{tags.RECORD}1": "nothing"},
    {f"{tags.RECORD}1": "999999999999.AAAA"},
    {f"{tags.RECORD}1": "2.AAAA"},
    {f"{tags.RECORD}1": "1.A"},
    {},
)


@pytest.mark.parametrize("held", BROKEN, ids=lambda held: json.dumps(held)[:30])
def test_what_somebody_has_broken_is_no_point(shelf: Shelf, held: dict[str, str]) -> None:
    shelf.held["snap-9"] = {tags.POINT: str(uuid4()), **held}
    (point,) = marks.read(shelf.aws, HOME, ["snap-9"], KEY)
    assert point.state == "partial"
    shelf.held["snap-9"][tags.POINT] = "no id"
    assert list(marks.listed(shelf.aws, HOME)) == []
    assert marks.read(shelf.aws, HOME, ["snap-9"], KEY) == []
