"""A copy of the model: unloaded while idle, and loaded on demand."""

from tests.support.event_loop import in_event_loop
from tests.support.whisper_bench import bench, soon
from tests.support.whisper_stand_in import StandInEngine


@in_event_loop
async def test_the_model_is_unloaded_when_idle_and_loaded_on_demand() -> None:
    engine = StandInEngine()
    engine.may_load.set()
    async with bench(engine, idle_unload_seconds=0.1) as it:
        await soon(lambda: it.scheduler.state().instances[0].status == "unloaded")
        assert (engine.loads, engine.unloads) == (0, 1)
        assert (await it.run()).text == "1.0"
        assert engine.loads == 1
