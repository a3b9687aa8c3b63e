"""A node's first requests: release the chunks that it held, get settings, agree on its name."""

import logging
from dataclasses import replace

from pydantic import ValidationError

from stt.errors import ConfigError, DatabaseUnavailable, SttError
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.instance_lock import InstanceLock
from stt.remote.membership import Membership
from stt.remote.messages import NodeSettings, ReportMessage

logger = logging.getLogger(__name__)


def perform_handshake(membership: Membership, report: ReportMessage) -> None:
    """Release what an earlier process of this node holds, and get the node's settings.

    Raises DatabaseUnavailable, KeyRejected, NodeRemoved; ConfigError if it is no coordinator.
    """
    client, name = membership.client, membership.settings.name
    path = f"/api/nodes/{membership.settings.id}"
    # The worker of this process keeps its claims, should the request be carried out late.
    started = {"worker_id": report.worker_id}
    try:
        released = client.ask("POST", f"{path}/restarted", body=started)["released"]
        answer = client.ask("POST", f"{path}/heartbeat", body=report)
        membership.settings = NodeSettings.model_validate(answer)
    except (ValidationError, KeyError, TypeError) as error:
        raise ConfigError(f"{client.url} does not answer like a coordinator") from error
    logger.info("Node %s works for %s", name, client.url)
    if released:
        logger.info("Gave back %d chunk(s) that it held before it was started", released)


def reconcile_name(
    membership: Membership, credentials: Credentials, file: CredentialsFile, lock: InstanceLock
) -> Credentials:
    """Return the credentials with the name that the node has from now on; raises nothing.

    A name that a person wrote into node.json is sent to the coordinator, and one that was given
    there is saved here: the newer one is the one that has changed since both agreed.
    """
    agreed, settings = credentials, membership.settings
    try:
        if settings.name != credentials.name and lock.info().known_name == credentials.name:
            agreed = replace(credentials, name=settings.name)
            file.save(agreed)
            logger.info("This node is called %s now", settings.name)
        elif settings.name != credentials.name:
            path = f"/api/nodes/{settings.id}"
            answer = membership.client.ask("PATCH", path, body={"name": credentials.name})
            logger.info("The coordinator calls this node %s now", answer["name"])
    except DatabaseUnavailable as error:
        logger.warning("The name is sent at the next start: %s", error)
    except SttError as error:
        logger.warning("The name stays as it is: %s", error)
    else:
        lock.update(known_name=agreed.name)
    return agreed
