"""Make the tables and lists of `stt status`, `workers`, `search` and `doctor`."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stt.cli.console import Screen
from stt.cli.fitting_table import FittingTable
from stt.cli.formatting import clock, local_time, plural, printable, span
from stt.doctor.checks import Finding
from stt.domain.failures import failure_text
from stt.domain.speakers import Speaker
from stt.store.counts import state_of_recording
from stt.store.notification_status import DestinationStatus
from stt.store.recordings import RecordingDetails
from stt.store.search import Hit
from stt.store.status import FailedChunk, QueueStatus, RecordingProgress
from stt.store.workers import WorkerStatus, count_machines
from stt.whisper.model_names import described

_RECORDINGS_SHOWN = 20
_STATE_STYLES = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "dim"}
_STATE_WIDTH = 8
_CHECK_WIDTH = 15


def status_screen(status: QueueStatus, members: Iterable[WorkerStatus], where: str) -> Screen:
    """Return the output of `stt status`."""
    machines = count_machines(members)
    parts: list[Screen] = [Text(f"Queue {where}", style="bold"), ""]
    if status.counts.total == 0 and not status.sources:
        return Group(*parts, "The queue is empty. Add recordings with: stt ingest PATH…")
    parts += [_counts_table(status), "", _outlook(status, machines)]
    for waiting in status.missing_models:
        model = f"{printable(described(waiting.model))}, which no machine has"
        wait = "waits" if waiting.chunks == 1 else "wait"
        parts.append(Text(f"{plural(waiting.chunks, 'chunk')} {wait} for {model}.", "yellow"))
    parts += map(_notification_line, status.notifications)
    if status.sources:
        parts += ["", *_recordings_table(status.sources)]
    if status.resting_chunks:
        parts += _failures("Waiting after a failure", status.resting_chunks, status.resting)
    if status.failed_chunks:
        quarantined = status.counts.failed - status.dismissed
        parts += _failures("Failed chunks", status.failed_chunks, quarantined)
        parts += [_advice(kind) for kind in dict.fromkeys(c.kind for c in status.failed_chunks)]
        parts += [
            Text(
                "After removing the cause: stt retry; to leave one as it is: stt dismiss CHUNK",
                style="dim",
            )
        ]
    return Group(*parts)


def _notification_line(status: DestinationStatus) -> Text:
    """Return what a destination did not take, and why."""
    name = printable(status.name)
    error = f": {printable(status.error)}" if status.error else ""
    parts = []
    if status.waiting:
        wait = "waits" if status.waiting == 1 else "wait"
        parts.append(f"{plural(status.waiting, 'notification')} {wait} for {name}{error}.")
        if status.next_try_at:
            parts.append(f"Next try at {local_time(status.next_try_at.timestamp())}.")
        if not status.is_attended:
            parts.append("No process delivers them now.")
        error = ""
    if status.given_up:
        were = "was" if status.given_up == 1 else "were"
        parts.append(f"{plural(status.given_up, 'notification')} to {name} {were} given up{error}.")
    return Text(" ".join(parts), style="red" if status.given_up else "yellow")


def counting_screen(members: Iterable[WorkerStatus], where: str) -> Screen:
    """Return the output of `stt status` while the chunks are still being counted."""
    machines = count_machines(members)
    at_work = f"{plural(machines, 'machine')} at work" if machines else "No machine is at work."
    counting = "The chunks are still being counted. To wait for that: stt status --wait"
    return Group(Text(f"Queue {where}", style="bold"), "", Text(counting, "yellow"), at_work)


def _counts_table(status: QueueStatus) -> Table:
    counts = status.counts
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    resting = f"{status.resting} waiting after a failure" if status.resting else ""
    stale = f"{status.stale} with a lease that has run out" if status.stale else ""
    empty = f"{status.empty} without speech" if status.empty else ""
    table.add_row("waiting", str(counts.pending), resting)
    table.add_row("transcribing", str(counts.processing), stale)
    table.add_row("done", str(counts.transcribed), empty)
    dismissed = f"{status.dismissed} dismissed" if status.dismissed else ""
    style = "red" if counts.failed > status.dismissed else ""
    table.add_row("failed", Text(str(counts.failed), style=style), dismissed)
    return table


def _outlook(status: QueueStatus, machines: int) -> Text:
    failed = status.counts.failed - status.dismissed
    if status.counts.open == 0 and failed:
        have = "chunk has" if failed == 1 else "chunks have"
        return Text(f"Nothing is left to do, but {failed} {have} failed.", "red")
    if status.counts.open == 0:
        return Text("Nothing is left to do.", style="green")
    if machines == 0:
        return Text("No machine is at work. Start a worker with: stt", style="yellow")
    facts = [f"{plural(machines, 'machine')} at work"]
    if status.rate.chunks:
        facts.append(f"{status.rate.chunks_per_minute:.1f} chunks/min")
        facts.append(f"{status.rate.audio_seconds_per_second:.1f} s of audio per second")
    if status.eta_seconds:
        facts.append(f"about {span(status.eta_seconds)} left")
    return Text(" · ".join(facts))


def _recordings_table(recordings: Iterable[RecordingProgress]) -> list[Screen]:
    """Return a table of recordings: unfinished ones first, then the latest."""
    latest = list(recordings)[::-1]
    latest.sort(key=lambda s: s.counts.open == 0 and not s.is_ingesting)
    table = FittingTable(
        "Recording", "State", ">Length", ">Chunks", ">Done", ">Failed", "Id", "",
        optional=("Id", "Length", "Chunks"),
    )  # fmt: skip
    for recording in latest[:_RECORDINGS_SHOWN]:
        counts = recording.counts
        share = f"{100 * counts.transcribed // counts.total} %" if counts.total else "—"
        table.add_row(
            Text(printable(recording.label or recording.filename)),
            _state_of(recording),
            "—" if recording.duration_seconds is None else clock(recording.duration_seconds),
            str(counts.total),
            share,
            Text(str(counts.failed or ""), style="red"),
            Text(printable(str(recording.id or "")), style="dim"),
            _note_on(recording),
        )
    if (more := len(latest) - _RECORDINGS_SHOWN) > 0:
        return [table, Text(f"… and {more} more; --json lists all", style="dim")]
    return [table]


def _advice(kind: str) -> Text:
    """Return what a kind of failure means, and what to do."""
    text = failure_text(kind)
    return Text(f"{printable(kind)}: {text.reason} {text.advice}", style="dim")


def recordings_list(recordings: Iterable[RecordingDetails]) -> Screen:
    """Return the output of `stt ls`."""
    table = FittingTable(
        "Recording", "State", ">Length", ">Chunks", ">Done", ">Failed", ">Priority", "Id",
        optional=("Priority", "Chunks", "Length", "Failed", "Done", "Id"),  # others need the id
    )  # fmt: skip
    for one in recordings:
        counts = one.counts
        table.add_row(
            Text(printable(one.label)),
            _state_of(one),
            "—" if one.duration is None else clock(one.duration),
            str(counts.total),
            f"{100 * counts.transcribed // counts.total} %" if counts.total else "—",
            Text(str(counts.failed or ""), style="red"),
            str(one.priority or ""),
            Text(printable(str(one.id)), style="dim"),
        )
    return table


def _note_on(recording: RecordingProgress) -> str:
    seconds = recording.silent_speech_seconds
    return f"{span(seconds)} of speech gave no text" if round(seconds) else ""


def _state_of(recording: RecordingProgress | RecordingDetails) -> Text:
    state = state_of_recording(recording.counts, is_ingesting=recording.is_ingesting)
    return Text(state, style="red" if "failed" in state else "")


def _failures(title: str, chunks: Sequence[FailedChunk], total: int) -> list[Screen]:
    """Return two lines per chunk: messages are too long for a column."""
    lines: list[Screen] = ["", Text(title, style="bold")]
    for chunk in chunks:
        tries = "1 try" if chunk.attempts == 1 else f"{chunk.attempts} tries"
        at = "" if chunk.failed_at is None else f", {local_time(chunk.failed_at.timestamp())}"
        if chunk.failed_at is None and chunk.again_at is not None:
            at = f", again at {local_time(chunk.again_at.timestamp())}"
        position = f"no. {chunk.index} of {chunk.label or chunk.filename}, {tries}{at}"
        lines.append(Text(printable(f"{chunk.id}  {position}")))
        where = f" ({chunk.server})" if chunk.server and chunk.server not in chunk.message else ""
        error = Text(printable(f"{chunk.kind}: {chunk.message}{where}"), style="red")
        lines.append(Padding(error, (0, 0, 0, 4)))
    if (more := total - len(chunks)) > 0:
        lines.append(Text(f"… and {more} more", style="dim"))
    return lines


def speakers_table(
    speakers: Iterable[Speaker], lines: Mapping[str, tuple[float, str]]
) -> FittingTable:
    """Return the output of `stt speakers`; `lines`: when each says something, and what."""
    table = FittingTable("Speaker", "Id", ">Speaks", ">At", "A line", optional=("Id",))
    for one in speakers:
        start, text = lines.get(one.label, (None, ""))
        table.add_row(
            Text(printable(one.label)),
            Text(printable(one.id), style="dim"),
            clock(one.seconds),
            "" if start is None else clock(start),
            Text(printable(text)),
        )
    return table


def workers_table(members: Iterable[WorkerStatus]) -> Screen:
    """Return the output of `stt workers`."""
    table = FittingTable(
        "Worker", "State", "Last seen", ">Slots", ">In flight", ">Done", ">Failed", "Server",
        optional=("Server", "Slots", "In flight"),
    )  # fmt: skip
    for member in members:
        report, is_gone = member.report, not member.is_alive and member.report.state != "stopped"
        table.add_row(
            Text(printable(member.id)),
            Text("gone" if is_gone else _at_work(member), style="red" if is_gone else ""),
            f"{span(member.age_seconds)} ago",
            str(report.slots),
            str(len(report.chunks)),
            str(report.counts.get("transcribed", 0) + report.counts.get("empty", 0)),
            str(report.counts.get("error", 0)),
            Text(printable(report.server)),
        )
    if table.row_count == 0:
        return Text("No worker was seen in the last day. Start one with: stt")
    return table


def _at_work(member: WorkerStatus) -> str:
    """Return what a worker does, in the words of the glossary."""
    if member.report.state != "working":
        return printable(member.report.state)
    return "transcribing" if member.report.chunks else "idle"


def hits_screen(hits: Iterable[Hit]) -> Screen:
    """Return the output of `stt search`: recordings with a line for each hit."""
    lines: list[Screen] = []
    recording: object = None
    for hit in hits:
        if not lines or hit.recording_id != recording:
            recording = hit.recording_id
            name = printable(hit.label or hit.filename) or "(no source)"
            lines += [*([""] if lines else []), Text(name, style="bold")]
        text = Text(printable(hit.text))
        for start, end in hit.matches:
            text.stylize("bold yellow", start, end)
        who = hit.speaker or (f"Channel {hit.channel}" if hit.channel else None)
        mark = f"[{printable(who)}] " if who else ""
        lines.append(Text.assemble((f"{clock(hit.start):>8}  {mark}", "dim"), text))
    return Group(*lines)


def finding_line(finding: Finding) -> Screen:
    """Return a line of `stt doctor`, and a second one with what to do."""
    line = Table.grid(padding=(0, 1))
    for width in (_STATE_WIDTH, _CHECK_WIDTH, None):
        line.add_column(width=width, overflow="fold")
    state = Text(finding.state, style=_STATE_STYLES[finding.state])
    line.add_row(state, finding.check, Text(printable(finding.message)))
    if finding.advice:
        line.add_row("", "", Text(f"→ {printable(finding.advice)}", style="bold"))
    return line
