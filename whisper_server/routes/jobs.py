"""`/jobs`: upload now, fetch the transcript later."""

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from whisper_server import api_docs
from whisper_server.formats import JSON_TYPE, render
from whisper_server.forms import JobForm
from whisper_server.jobs import Job
from whisper_server.model_service import Service
from whisper_server.routes.uploads import receive_upload
from whisper_server.schemas import JobList, JobOut, JobStatus, JobSummary

MAX_LISTED = 1000


def router(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/jobs", tags=["Jobs"])

    @routes.post(
        "",
        summary="Hand in a file",
        status_code=202,
        response_model=JobSummary,
        responses=api_docs.ACCEPTED,
        openapi_extra=api_docs.form(JobForm),
    )
    async def start(request: Request) -> Response:
        """Return once the file is uploaded and queued; `Location` is the path of the job.

        A job waits in the same queue as every other request, and holds its place until it ends.
        """
        async with receive_upload(service, request, JobForm) as upload:
            form = upload.form
            options, filename = upload.options(form.task), upload.files()[0].filename
            job = Job(form.task, form.response_format, filename)
            held_by_job = upload.keep()

            async def work(job: Job) -> Response:
                async with held_by_job:
                    found = await upload.transcribe(options, job.advance, until=job.forgotten.wait)
                result = await asyncio.to_thread(render, found, form, form.task)
                upload.warn_in(result)
                return result

            service.jobs.start(job, work)
        await service.jobs.admitted(job)
        headers = {"Location": f"{request.scope.get('root_path', '')}/jobs/{job.id}"}
        body = JobSummary.model_validate(job).model_dump_json()
        response = Response(body, 202, headers, JSON_TYPE)
        upload.warn_in(response)
        return response

    @routes.get("", summary="List the jobs", response_model=JobList, responses=api_docs.errors(400))
    async def list_jobs(
        status: Annotated[JobStatus | None, Query(description="Only those in this state.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="At most so many.")] = 100,
    ) -> Response:
        """Return the unfinished and the kept ones, the newest first, without their results."""
        jobs = [job for job in service.jobs.newest_first() if status in (None, job.status)]
        found = JobList(data=[JobSummary.model_validate(job) for job in jobs[:limit]])
        body = await asyncio.to_thread(found.model_dump_json)  # a thousand take a while
        return Response(body, media_type=JSON_TYPE)

    @routes.get("/{job_id}", summary="Show a job", response_model=JobOut, responses=api_docs.JOB)
    async def show(job_id: str) -> Response:
        """Return its state, and its `result` once it is done.

        That is what the transcription endpoint would have answered, as an object in the JSON
        formats, else as a string, with its `Warning` headers.

        Results are kept for `JOB_KEEP_SECONDS`, the last `JOB_KEEP_COUNT` of them, and in memory:
        a restart loses them.
        """
        job = service.jobs.find(job_id)
        body = await asyncio.to_thread(_with_result, JobSummary.model_validate(job), job.result)
        response = Response(body, media_type=JSON_TYPE)
        for warning in job.result.headers.getlist("Warning") if job.result else ():
            response.headers.append("Warning", warning)
        return response

    @routes.delete(
        "/{job_id}", summary="Forget a job", status_code=204, responses=api_docs.errors(404)
    )
    async def remove(job_id: str) -> None:
        """Stop the job if it is unfinished."""
        service.jobs.remove(job_id)

    return routes


def _with_result(summary: JobSummary, response: Response | None) -> bytes:
    """Return a `JobOut`, without parsing a JSON result of megabytes to write it out again."""
    result = bytes(response.body) if response else b"null"
    if response and response.media_type != JSON_TYPE:
        result = json.dumps(result.decode()).encode()
    return summary.model_dump_json().encode()[:-1] + b',"result":' + result + b"}"
