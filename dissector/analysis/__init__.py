"""What is made of the messages: exchanges, subscriptions, event notifications, jobs, endpoints."""

from dissector.analysis.analysis import Analysis
from dissector.analysis.endpoints import Host, Hosted
from dissector.analysis.model import (
    Exchange,
    FilterResult,
    Image,
    Job,
    JobFault,
    Notification,
    Step,
    Subscription,
)
from dissector.analysis.summary import duration, outcome

__all__ = [
    "Analysis",
    "Exchange",
    "FilterResult",
    "Host",
    "Hosted",
    "Image",
    "Job",
    "JobFault",
    "Notification",
    "Step",
    "Subscription",
    "duration",
    "outcome",
]
