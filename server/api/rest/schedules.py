"""Schedules as the REST API writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server.api.rest.shim import Call

WEEK = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
WORK_DAYS = WEEK[:5]
MONTHS = [
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
]
OPTIONS = {"snapshot": "snapshotOptions", "replica": "replicaOptions", "backup": "backupOptions"}
OFF = {f"{name}ScheduleEnabled": False for name in ("daily", "weekly", "monthly", "yearly")}


def show(call: Call, plan: dict[str, Any] | None) -> dict[str, Any]:
    """``scheduleSettings`` of a policy. Archives take the place of backups there; ``sendBackupsToArchive`` tells them apart."""
    shown: dict[str, Any] = dict(OFF)
    if plan is None:
        return shown
    for name, write in (("daily", _daily), ("weekly", _weekly), ("monthly", _monthly), ("yearly", _yearly)):
        part = plan[name]
        if part is not None:
            shown[f"{name}ScheduleEnabled"] = part["enabled"]
            shown[f"{name}Schedule"] = write(call, part)
    return shown


def _daily(call: Call, part: dict[str, Any]) -> dict[str, Any]:
    days = part["days"]
    kind = "Everyday" if len(days) == 7 else "WeekDays" if days == WORK_DAYS else "SelectedDays"
    shown = {"kind": kind, "runsPerHour": part["perHour"], "days": [_word(day) for day in days]}
    return shown | _options(part, lambda slots: {"hours": hours(call, slots)})


def _weekly(call: Call, part: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"timeLocal": _time(call, part["hour"])}
    if call.at_least(2):
        shown["days"] = [_word(WEEK[day]) for day in part["snapshot"]["slots"]]
    return shown | _options(part, lambda slots: {"days": [_word(WEEK[day]) for day in slots]})


def _monthly(call: Call, part: dict[str, Any]) -> dict[str, Any]:
    shown = {"timeLocal": _time(call, part["hour"]), **_day(part["day"])}
    shown |= _options(part | {"backup": part["archive"] or part["backup"]}, lambda slots: {"months": _months(slots)})
    return shown | ({"sendBackupsToArchive": part["archive"] is not None} if call.at_least(2) else {})


def _yearly(call: Call, part: dict[str, Any]) -> dict[str, Any]:
    rule = part["archive"] or part["backup"]
    shown = {"timeLocal": _time(call, part["hour"]), **_day(part["day"])}
    if rule is not None:
        shown |= {"month": _months(rule["slots"])[0], "retention": _retention(rule)}
    return shown | ({"sendBackupsToArchive": part["archive"] is not None} if call.at_least(2) else {})


def _options(part: dict[str, Any], write: Callable[[list[int]], dict[str, Any]]) -> dict[str, Any]:
    rules = {key: part[leg] for leg, key in OPTIONS.items() if part[leg] is not None}
    return {key: {"retention": _retention(rule), "schedule": write(rule["slots"])} for key, rule in rules.items()}


def _retention(rule: dict[str, Any]) -> dict[str, Any]:
    period = rule["period"]
    return {"count": rule["count"]} if period is None else {"type": _word(period["unit"]), "count": period["amount"]}


def _day(day: dict[str, Any]) -> dict[str, Any]:
    if day["day"] is not None:
        return {"dayNumberInMonth": "OnDay", "dayOfMonth": day["day"]}
    return {"dayNumberInMonth": _word(day["ordinal"]), "dayOfWeek": _word(day["weekday"])}


def _word(name: str) -> str:
    return name.capitalize()


def _months(numbers: list[int]) -> list[str]:
    return [MONTHS[number - 1] for number in numbers]


def _time(call: Call, hour: int) -> str:
    """``HH:mm``; before 1.2 a moment, of which clients read the time of day."""
    return f"{hour:02}:00" if call.at_least(2) else f"0001-01-01T{hour:02}:00:00"


def hours(call: Call, chosen: list[int]) -> list[int] | list[bool]:
    """Hour numbers; before 1.2 an array of 24 booleans."""
    return chosen if call.at_least(2) else [hour in chosen for hour in range(24)]
