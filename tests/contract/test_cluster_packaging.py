"""The promises of compose.cluster.yaml and deploy/kubernetes, as far as they can be read; nothing of them is run."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]  # stubs for one file are not worth a dependency

from app.catalogue.limits_url import limits_address
from app.settings import Settings

from ..support.optional import leave_out
from ..support.paths import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
FILES = sorted(KUBERNETES.glob("*.yaml"))
OPERATORS_OWN = "postgres.cloudnativepg.yaml"
OLDEST = "1.31"
"""PodDisruptionBudget's unhealthyPodEvictionPolicy is stable there; and the newest that the checker has."""
MADE_BY_OPERATOR = {"postgres-app", "postgres-ca"}


def documents(name: str) -> list[dict[str, Any]]:
    return [dict(one) for one in yaml.safe_load_all((KUBERNETES / name).read_text())]


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.cluster.yaml").read_text()))


def nodes() -> dict[str, Any]:
    return documents("statefulset.yaml")[0]


def pod() -> dict[str, Any]:
    return dict(nodes()["spec"]["template"]["spec"])


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", [file.name for file in FILES if file.name != OPERATORS_OWN])
def test_a_manifest_is_what_kubernetes_takes(name: str, version: str) -> None:
    for document in documents(name):
        kubernetes_validate.validate(document, version, strict=True)


def test_the_checker_knows_no_kind_of_an_operator_and_the_readme_says_so() -> None:
    (cluster,) = documents(OPERATORS_OWN)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(cluster, OLDEST, strict=True)
    readme = (KUBERNETES / "README.md").read_text()
    assert [file.name for file in FILES if f"`{file.name}`" not in readme] == []
    assert "operator's own kind" in readme


def names_of_settings() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def test_what_the_nodes_are_told_are_settings() -> None:
    in_pods = {**documents("configmap.yaml")[0]["data"], "NODE_NAME": ""}
    secret = documents("secrets.example.yaml")
    in_pods |= {
        name: "" for one in secret if one["metadata"]["name"] in ("assistant", "assistant-models") for name in one["stringData"]
    }
    in_containers = compose()["x-node"]["environment"]
    for told in (in_pods, in_containers):
        assert {name for name in told if not name.startswith("SECURE_AI_")} <= names_of_settings()
        assert limits_address(told.get("LIMITS_URL") or in_containers["LIMITS_URL"]).shape == "single"


def test_every_node_has_its_part_of_the_limits() -> None:
    told = documents("configmap.yaml")[0]["data"]
    assert int(told["LIMITS_NODES"]) == nodes()["spec"]["replicas"]
    containers = [name for name in compose()["services"] if name.startswith("node-")]
    assert int(compose()["x-node"]["environment"]["LIMITS_NODES"]) == len(containers)


def test_a_node_has_time_to_finish_what_is_in_flight() -> None:
    needed = Settings.model_fields["shutdown_grace_seconds"].default
    told = documents("configmap.yaml")[0]["data"]
    assert pod()["terminationGracePeriodSeconds"] > needed + int(told["SHUTDOWN_NOTICE_SECONDS"])
    assert documents("poddisruptionbudget.yaml")[0]["spec"]["minAvailable"] == nodes()["spec"]["replicas"] - 1
    for name in ("node-a", "node-b"):
        node = compose()["services"][name]
        assert int(node["stop_grace_period"][:-1]) > needed + int(node["environment"]["SHUTDOWN_NOTICE_SECONDS"])


def test_a_node_that_is_replaced_remembers_the_heads_that_it_saw() -> None:
    """A new pod has the name and the volume of the one before: only so does it notice that the database went back."""
    spec = nodes()["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    mounts = {one["mountPath"]: one["name"] for one in pod()["containers"][0]["volumeMounts"]}
    assert mounts["/data"] == claim["metadata"]["name"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert documents("configmap.yaml")[0]["data"]["AUDIT_KEY_PATH"].startswith("/data/")
    assert spec["serviceName"] in [one["metadata"]["name"] for one in documents("service.yaml")]


def test_probes_and_ports_are_what_they_are_meant_for() -> None:
    (container,) = pod()["containers"]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/livez", "readiness": "/readyz", "liveness": "/livez"}, "no pod is restarted for its database"
    told = documents("configmap.yaml")[0]["data"]
    ports = {port["containerPort"] for port in container["ports"]}
    (reached, _, postgres) = (one["spec"] for one in documents("networkpolicy.yaml"))
    assert ports == {port["port"] for rule in reached["ingress"] for port in rule["ports"]} == {8000, int(told["METRICS_PORT"])}
    assert postgres["podSelector"]["matchLabels"] == {"cnpg.io/cluster": documents(OPERATORS_OWN)[0]["metadata"]["name"]}


def test_selectors_find_the_pods_and_every_secret_is_told_of() -> None:
    labels = nodes()["spec"]["template"]["metadata"]["labels"].items()
    budget, service = documents("poddisruptionbudget.yaml")[0]["spec"], documents("service.yaml")[0]["spec"]
    policy = documents("networkpolicy.yaml")[0]["spec"]
    for selector in (budget["selector"]["matchLabels"], service["selector"], policy["podSelector"]["matchLabels"]):
        assert selector.items() <= labels
    assert budget["minAvailable"] < nodes()["spec"]["replicas"]
    mounted = {volume["secret"]["secretName"] for volume in pod()["volumes"] if "secret" in volume}
    given = {one["metadata"]["name"] for one in documents("secrets.example.yaml")}
    assert mounted - MADE_BY_OPERATOR <= given
    assert all("REPLACE" in value for one in documents("secrets.example.yaml") for value in one["stringData"].values())


def test_no_container_has_a_right_that_it_does_not_need() -> None:
    several = [*pod()["containers"], *pod()["initContainers"]]
    several += documents("valkey.yaml")[0]["spec"]["template"]["spec"]["containers"]
    for container in several:
        rights = container["securityContext"]
        assert (rights["allowPrivilegeEscalation"], rights["readOnlyRootFilesystem"]) == (False, True)
        assert rights["capabilities"] == {"drop": ["ALL"]}
    for name in ("node-a", "node-b", "balancer", "valkey"):
        service = compose()["services"][name]
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert compose()["services"]["balancer"]["ports"] == ["127.0.0.1:8000:8080"]


def test_every_file_that_compose_mounts_exists() -> None:
    mounts = [mount for service in compose()["services"].values() for mount in service.get("volumes", ())]
    files = [mount.partition(":")[0] for mount in mounts if mount.startswith("./")]
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []
    for script in (ROOT / "deploy/postgres").glob("*.sh"):
        subprocess.run(["bash", "-n", script], check=True)


def test_the_load_balancer_knows_all_nodes_and_its_file_is_valid() -> None:
    text = (ROOT / "deploy/haproxy.cfg").read_text()
    for name in (name for name in compose()["services"] if name.startswith("node-")):
        assert f"server {name} {name}:8000 check" in text
    if shutil.which("haproxy") is None:
        leave_out("there is no haproxy (Debian: apt-get install haproxy)")
    done = subprocess.run(["haproxy", "-c", "-f", ROOT / "deploy/haproxy.cfg"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
