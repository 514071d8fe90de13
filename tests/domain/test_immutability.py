"""Which buckets can hold a repository, and how long blocks are locked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.immutability import GENERATION_DAYS, BucketFacts, Generation, Lock, LockRequest, judge, lock_for


def day(month: int, number: int, hour: int = 2) -> datetime:
    return datetime(2026, month, number, hour, tzinfo=UTC)


class TestBuckets:
    @pytest.mark.parametrize(
        ("facts", "immutable"),
        [
            (BucketFacts(), False),
            (BucketFacts(versioning="suspended"), False),
            (BucketFacts(versioning="enabled", object_lock=True), True),
            (BucketFacts(versioning="enabled", object_lock=True, default_mode="COMPLIANCE", default_retention=30), True),
            (BucketFacts(versioning="enabled", object_lock=True, default_mode="GOVERNANCE", default_retention=30), True),
            (BucketFacts(encryption="AES256"), False),
            (BucketFacts(encryption="aws:kms"), False),
        ],
    )
    def test_what_is_supported(self, facts: BucketFacts, immutable: bool) -> None:
        verdict = judge(facts)
        assert (verdict.immutable, verdict.problems) == (immutable, ())
        assert judge(facts, was_immutable=immutable) == verdict

    @pytest.mark.parametrize(
        ("facts", "message", "remedy"),
        [
            (
                BucketFacts(versioning="enabled"),
                "The bucket has versioning but no Object Lock: deleted data would stay and cost, and yet not be protected.",
                "Enable Object Lock on the bucket, suspend its versioning, or choose another bucket.",
            ),
            (
                BucketFacts(versioning="suspended", object_lock=True),
                "The bucket has Object Lock, but its versioning is suspended, so nothing in it can be locked.",
                "Enable versioning on the bucket.",
            ),
            (
                BucketFacts(object_lock=True),
                "The bucket has Object Lock, but its versioning is off, so nothing in it can be locked.",
                "Enable versioning on the bucket.",
            ),
            (
                BucketFacts(versioning="unknown", unreadable=("GetBucketVersioning needs s3:GetBucketVersioning",)),
                "Whether the bucket has versions and Object Lock cannot be told: GetBucketVersioning needs "
                "s3:GetBucketVersioning.",
                "Allow s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration on the bucket.",
            ),
            (
                BucketFacts(object_lock=None, unreadable=("GetObjectLockConfiguration needs s3:x",)),
                "Whether the bucket has versions and Object Lock cannot be told: GetObjectLockConfiguration needs s3:x.",
                "Allow s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration on the bucket.",
            ),
            (
                BucketFacts(lifecycle=("Lifecycle rule 'all' expires objects after 30 days.",)),
                "Lifecycle rule 'all' expires objects after 30 days.",
                "Take the repository's folder out of this rule: removed or moved objects make points unreadable.",
            ),
        ],
    )
    def test_what_is_not_says_why_and_what_to_do(self, facts: BucketFacts, message: str, remedy: str) -> None:
        (problem,) = judge(facts).problems
        assert (problem.message, problem.remedy) == (message, remedy)

    def test_every_rule_is_a_problem_of_its_own(self) -> None:
        assert len(judge(BucketFacts(versioning="enabled", lifecycle=("One.", "Two."))).problems) == 3

    def test_a_lock_added_to_a_bucket_in_use_stops_backups(self) -> None:
        (problem,) = judge(BucketFacts(versioning="enabled", object_lock=True), was_immutable=False).problems
        assert problem.message == "Object Lock was enabled on the bucket after the repository had been made."

    def test_a_lock_that_is_gone_is_another_bucket(self) -> None:
        (problem,) = judge(BucketFacts(), was_immutable=True).problems
        assert "says it has no Object Lock" in problem.message

    def test_warnings_hinder_nothing(self) -> None:
        facts = BucketFacts(
            versioning="enabled",
            object_lock=True,
            default_mode="COMPLIANCE",
            default_retention=30,
            encryption="aws:kms",
            encryption_key="arn:key",
            public=True,
            unreadable=("GetBucketLifecycleConfiguration needs s3:GetLifecycleConfiguration",),
        )
        verdict = judge(facts)
        assert (verdict.immutable, verdict.problems) == (True, ())
        words = ("30 days by default", "lets anyone in", "arn:key", "s3:GetLifecycleConfiguration")
        assert [word in text for word, text in zip(words, verdict.warnings, strict=True)] == [True] * 4

    def test_no_warning_without_a_reason(self) -> None:
        assert judge(BucketFacts(encryption="aws:kms")).warnings == ()


class TestGenerations:
    def test_thirty_days_weekly_from_the_first_of_march(self) -> None:
        """The worked example of the reference product: all locks to 25 April; 29 March opens generation two, to 23 May."""
        locks: list[Lock] = []
        for at in (day(3, 1), day(3, 8), day(3, 15), day(3, 22), day(3, 29), day(4, 5)):
            locks.append(lock_for(LockRequest("weekly", 30), locks[-1] if locks else None, at))
        assert [lock.until.date() for lock in locks] == [day(4, 25).date()] * 4 + [day(5, 23).date()] * 2
        assert [lock.generation.date() for lock in locks] == [day(3, 1).date()] * 4 + [day(3, 29).date()] * 2
        assert locks[0].until - day(3, 1) == timedelta(days=55)
        assert locks[1].until - day(3, 8) == timedelta(days=48)
        assert locks[4].until - day(3, 29) == timedelta(days=55)

    def test_the_day_twenty_six_opens_a_new_one(self) -> None:
        """Day 1 is N = 0; day 25 is the last of the generation, and still locks for the retention and a day."""
        first = lock_for(LockRequest("daily", 7), None, day(3, 1))
        last = lock_for(LockRequest("daily", 7), first, day(3, 25))
        assert (last.until, last.until - day(3, 25)) == (first.until, timedelta(days=8))
        following = lock_for(LockRequest("daily", 7), last, day(3, 26))
        assert following.generation == day(3, 26)
        assert following.until - day(3, 26) == timedelta(days=32)

    def test_schedule_types_have_generations_of_their_own(self) -> None:
        daily = lock_for(LockRequest("daily", 7), None, day(3, 1))
        weekly = lock_for(LockRequest("weekly", 30), daily, day(3, 3))
        again = lock_for(LockRequest("daily", 7), weekly, day(3, 4))
        assert again.until == daily.until
        assert again.generations.keys() == {"daily", "weekly"}
        assert lock_for(LockRequest("weekly", 30), again, day(3, 10)).until == weekly.until

    @pytest.mark.parametrize("days", [6, 14])
    def test_another_retention_opens_a_new_one(self, days: int) -> None:
        first = lock_for(LockRequest("daily", 7), None, day(3, 1))
        changed = lock_for(LockRequest("daily", days), first, day(3, 2))
        assert changed.generation == day(3, 2)
        assert changed.until - day(3, 2) == timedelta(days=days + GENERATION_DAYS)

    def test_a_clock_that_went_back_opens_a_new_one(self) -> None:
        first = lock_for(LockRequest("daily", 7), None, day(3, 10))
        assert lock_for(LockRequest("daily", 7), first, day(3, 9)).generation == day(3, 9)

    @pytest.mark.parametrize("days", [0, -1, 36_500])
    def test_a_lock_has_a_length(self, days: int) -> None:
        with pytest.raises(ValueError, match="a lock is for"):
            LockRequest("daily", days)


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["daily", "weekly", "monthly", "yearly"]),
        st.sampled_from([1, 7, 30, 365]),
        st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40)),
    ),
    min_size=1,
    max_size=40,
)


@given(REQUESTS)
def test_every_run_is_locked_for_its_retention_and_no_more_than_a_generation_longer(
    runs: list[tuple[str, int, timedelta]],
) -> None:
    parent: Lock | None = None
    now = day(1, 1)
    for schedule, days, later in runs:
        now += later
        lock = lock_for(LockRequest(schedule, days), parent, now)
        assert timedelta(days=days) - timedelta(seconds=1) < lock.until - now <= timedelta(days=days + GENERATION_DAYS)
        assert lock.generations[schedule].until == lock.until
        known: dict[str, Generation] = dict(parent.generations) if parent else {}
        assert {name: each for name, each in lock.generations.items() if name != schedule} == {
            name: each for name, each in known.items() if name != schedule
        }
        assert Lock.from_json(lock.to_json()) == lock
        parent = lock
