"""What a policy's templates say, looked up."""

from __future__ import annotations

from server.domain.policy import Policy
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate
from server.ports import Tx


def terms_of(tx: Tx, policy: Policy) -> SlaTerms | None:
    """None for a policy that follows no SLA template."""
    return tx.sla_templates.get(policy.sla_template_id).terms if policy.sla_template_id is not None else None


def storage_of(tx: Tx, policy: Policy) -> StorageTemplate | None:
    """None for a policy that names its repositories itself, or has none."""
    return tx.storage_templates.get(policy.storage_template_id) if policy.storage_template_id is not None else None
