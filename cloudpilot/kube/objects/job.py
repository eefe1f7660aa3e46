"""Work that ends: Jobs, and the CronJobs that start them."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Condition, KubeObject, ObjectReference, Projection
from cloudpilot.kube.objects.workload import ImagesTemplate, PodTemplate


class JobSpec(Projection):
    """How much is to be done. Jobs pile up, so the template is cut to its images."""

    parallelism: int = 1
    completions: int | None = None
    backoff_limit: int = 6
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False
    template: ImagesTemplate = msgspec.field(default_factory=ImagesTemplate)


class JobStatus(Projection):
    """How much is done."""

    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    start_time: str | None = None
    completion_time: str | None = None
    conditions: tuple[Condition, ...] = ()


class Job(KubeObject):
    """batch/v1 Job."""

    spec: JobSpec = msgspec.field(default_factory=JobSpec)
    status: JobStatus = msgspec.field(default_factory=JobStatus)


class JobTemplateSpec(Projection):
    """The pods of the jobs to come."""

    template: PodTemplate = msgspec.field(default_factory=PodTemplate)


class JobTemplate(Projection):
    """The jobs to come."""

    spec: JobTemplateSpec = msgspec.field(default_factory=JobTemplateSpec)


class CronJobSpec(Projection):
    """When jobs start, and whether they may overlap."""

    schedule: str = ""
    time_zone: str = ""
    suspend: bool = False
    concurrency_policy: str = "Allow"
    starting_deadline_seconds: int | None = None
    job_template: JobTemplate = msgspec.field(default_factory=JobTemplate)


class CronJobStatus(Projection):
    """When a job last started and last succeeded, and which run now."""

    last_schedule_time: str | None = None
    last_successful_time: str | None = None
    active: tuple[ObjectReference, ...] = ()


class CronJob(KubeObject):
    """batch/v1 CronJob."""

    spec: CronJobSpec = msgspec.field(default_factory=CronJobSpec)
    status: CronJobStatus = msgspec.field(default_factory=CronJobStatus)
