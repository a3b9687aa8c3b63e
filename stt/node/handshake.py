"""What a node and its coordinator say first: what it held, how it is to work, its name."""

import logging
from dataclasses import replace

from pydantic import ValidationError

from stt.errors import ConfigError, DatabaseUnavailable, SttError
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.instance_lock import InstanceLock
from stt.remote.client import CoordinatorClient
from stt.remote.messages import NodeSettings, ReportMessage

logger = logging.getLogger(__name__)


def greet(
    client: CoordinatorClient, credentials: Credentials, report: ReportMessage
) -> NodeSettings:
    """Gives back what an earlier process of this node still holds, and is told how to work.

    Raises DatabaseUnavailable, KeyRejected, NodeRemoved; ConfigError for what is no coordinator.
    """
    path = f"/api/nodes/{credentials.node_id}"
    started = {"worker_id": report.worker_id}  # spared, should this request be done late
    try:
        released = client.ask("POST", f"{path}/restarted", body=started)["released"]
        settings = NodeSettings.model_validate(client.ask("POST", f"{path}/heartbeat", body=report))
    except (ValidationError, KeyError, TypeError) as error:
        raise ConfigError(f"{client.url} does not answer like a coordinator") from error
    logger.info("Node %s works for %s", credentials.name, client.url)
    if released:
        logger.info("Gave back %d chunk(s) that it held before it was started", released)
    return settings


def agree_on_name(
    client: CoordinatorClient,
    ours: Credentials,
    file: CredentialsFile,
    lock: InstanceLock,
    told: NodeSettings,
) -> Credentials:
    """Our credentials with the name that they have from now on; raises nothing.

    A name that a person wrote into node.json goes to the coordinator, and one that was given there
    comes back: what has changed since both agreed is the newer one.
    """
    agreed = ours
    try:
        if told.name != ours.name and lock.info().known_name == ours.name:
            agreed = replace(ours, name=told.name)
            file.save(agreed)
            logger.info("This node is called %s now", told.name)
        elif told.name != ours.name:
            answer = client.ask("PATCH", f"/api/nodes/{told.id}", body={"name": ours.name})
            logger.info("The coordinator calls this node %s now", answer["name"])
    except DatabaseUnavailable as error:
        logger.warning("The name is told at the next start: %s", error)
    except SttError as error:
        logger.warning("The name stays as it is: %s", error)
    else:
        lock.update(known_name=agreed.name)
    return agreed
