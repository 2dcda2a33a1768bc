"""Flows: approvals that become several orders over time, each a state machine that a restart resumes."""
