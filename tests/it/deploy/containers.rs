//! Images, Compose and Kubernetes: probes, times and the proxy in front.

use std::fs;
use std::pin::pin;
use std::time::Duration;

use harness::fake::{Via, fake};
use harness::process::Signal;
use harness::proxy::Proxy;
use harness::raw::{raw, session};
use harness::redis::Redis;
use harness::{DEADLINE, Served, binary, eventually, free_port, root};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{document, documents, files, folder, program, run, seconds, text};

const ADMIN: &str = "t0ken";
const COMPOSE: [&str; 3] = ["compose.yaml", "compose.redis.yaml", "compose.compozy.yaml"];

/// A gateway as in a container: on all addresses, and reached by one name.
async fn gateway() -> Served {
    let flags =
        ["--port=0", "--host=0.0.0.0", "--storage=memory", "--allowed-hosts=gw.example", "--admin-tokens", ADMIN];
    binary("mcp-proxy").args(flags).serve().await
}

fn port(gateway: &Served) -> &str {
    gateway.url.rsplit(':').next().unwrap_or_default().trim_end_matches('/')
}

/// Collects the HTTP probes in a document, whatever they are called.
fn probes(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("httpGet").cloned());
            members.values().for_each(|member| probes(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| probes(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_probe_is_answered() {
    let gateway = gateway().await;
    let mut found = Vec::new();
    probes(&document("kubernetes/deployment.yaml").await, &mut found);
    assert_eq!(found.len(), 3, "{found:?}");
    for probe in found {
        let path = probe["path"].as_str().expect("a path");
        // The kubelet names the address of the pod as `Host`.
        let url = format!("http://127.0.0.1:{}{path}", port(&gateway));
        assert_eq!(raw("GET", &url).send().await.status, 200, "{path}");
    }
    for file in ["kubernetes/deployment.yaml", "helm/mcp-proxy/templates/deployment.yaml"] {
        let text = text(file);
        for probe in ["startupProbe", "livenessProbe", "readinessProbe", "path: /healthz", "path: /readyz"] {
            assert!(text.contains(probe), "{file}: {probe}");
        }
    }
    let monitor = document("kubernetes/servicemonitor.yaml").await;
    let url = format!(
        "http://127.0.0.1:{}{}",
        port(&gateway),
        monitor["spec"]["endpoints"][0]["path"].as_str().expect("a path")
    );
    let authorization = format!("Bearer {ADMIN}");
    assert_eq!(raw("GET", &url).header("authorization", &authorization).send().await.status, 200);
}

#[tokio::test]
async fn the_health_check_of_the_image_tells_a_gateway_that_answers() {
    let gateway = gateway().await;
    let port = port(&gateway).to_owned();
    // With the variables of the image, which listens on all addresses.
    let check = || {
        let check = binary("mcp-proxy").args(["health"]).env("MCP_PROXY_HOST", "0.0.0.0").env("MCP_PROXY_PORT", &port);
        check.run()
    };
    let ended = check().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "ok\n"), "{}", ended.err);
    drop(gateway);
    let ended = check().await;
    assert!(ended.code == Some(1) && ended.err.contains("no answer from /healthz"), "{}", ended.err);
    for file in ["docker/Dockerfile", "docker/Dockerfile.tools"] {
        let text = text(file);
        assert!(
            text.contains(r#"CMD ["/usr/local/bin/mcp-proxy", "health"]"#) && text.contains("USER 10001:10001"),
            "{file}"
        );
    }
}

#[tokio::test]
async fn containers_stop_after_the_gateway() {
    let pod = &document("kubernetes/deployment.yaml").await["spec"]["template"]["spec"];
    let map = document("kubernetes/configmap.yaml").await;
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("mcp-proxy.yaml");
    fs::write(&file, map["data"]["mcp-proxy.yaml"].as_str().expect("a file")).expect("a file");
    let config = documents(&[file]).await.remove(0).remove(0);
    let grace = |config: &Value| seconds(&config["drain-delay"]) + seconds(&config["shutdown-timeout"]);
    assert!(seconds(&pod["terminationGracePeriodSeconds"]) >= grace(&config) + 15);
    let readiness = &pod["containers"][0]["readinessProbe"];
    let noticed = seconds(&readiness["periodSeconds"]) * (1 + seconds(&readiness["failureThreshold"]));
    assert!(seconds(&config["drain-delay"]) > noticed, "a pod is taken out of the Service before it stops");
    let config = document("docker/mcp-proxy.yaml").await;
    let alone = document("docker/compose.yaml").await;
    assert!(seconds(&alone["services"]["mcp-proxy"]["stop_grace_period"]) >= grace(&config) + 10);
    for name in ["gateway-1", "gateway-2"] {
        let service = &document("docker/compose.redis.yaml").await["services"][name];
        let variables = &service["environment"];
        let grace = seconds(&variables["MCP_PROXY_DRAIN_DELAY"]) + seconds(&variables["MCP_PROXY_SHUTDOWN_TIMEOUT"]);
        assert!(seconds(&service["stop_grace_period"]) >= grace + 10);
    }
}

#[tokio::test]
async fn compose_files_name_what_exists() {
    for name in COMPOSE {
        let compose = document(&format!("docker/{name}")).await;
        let defined = |kind: &str, name: &str| compose[kind].as_object().is_some_and(|all| all.contains_key(name));
        for (service, content) in compose["services"].as_object().expect("services") {
            let texts = |key: &str| content[key].as_array().cloned().unwrap_or_default().into_iter();
            for secret in texts("secrets") {
                assert!(defined("secrets", secret.as_str().expect("a name")), "{name}: {service}: {secret}");
            }
            for volume in texts("volumes") {
                let source = volume.as_str().and_then(|text| text.split(':').next()).expect("a volume").to_owned();
                let is_there = source
                    .strip_prefix("./")
                    .map_or(defined("volumes", &source), |file| folder("docker").join(file).is_file());
                assert!(is_there, "{name}: {service}: {source}");
            }
            for needed in content["depends_on"].as_object().into_iter().flatten().map(|(needed, _)| needed) {
                assert!(defined("services", needed), "{name}: {service}: {needed}");
            }
            if let Some(file) = content["build"]["dockerfile"].as_str() {
                assert!(root().join(file).is_file(), "{name}: {file}");
            }
        }
    }
}

#[tokio::test]
async fn manifests_fit_together() {
    let kustomization = document("kubernetes/kustomization.yaml").await;
    let listed: Vec<&str> =
        kustomization["resources"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let optional = ["kustomization.yaml", "servicemonitor.yaml"];
    for path in files(&folder("kubernetes")) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        assert!(optional.contains(&name.as_str()) || listed.contains(&name.as_str()), "{name} is not deployed");
    }
    let paths: Vec<_> = listed.iter().map(|name| folder("kubernetes").join(name)).collect();
    let all: Vec<Value> = documents(&paths).await.into_iter().flatten().collect();
    let pod = &all.iter().find(|it| it["kind"] == "Deployment").expect("a Deployment")["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    let of =
        |kind: &str| all.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == "mcp-proxy").expect("it");
    assert_eq!(&of("Service")["spec"]["selector"], labels);
    assert_eq!(&of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["spec"]["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert!(!all.iter().any(|it| it["kind"] == "Secret"), "no secret is in a file");
}

/// With `kubectl` on this machine, `kubectl apply -k` gets all documents.
#[tokio::test]
async fn kustomize_builds_the_manifests() {
    let Some(kubectl) = program("kubectl") else { return };
    let home = tempfile::tempdir().expect("a folder");
    for path in files(&folder("kubernetes")) {
        fs::copy(&path, home.path().join(path.file_name().expect("a name"))).expect("a file");
    }
    fs::create_dir(home.path().join("secrets")).expect("a folder");
    for name in ["admin-token", "client-token", "redis-password"] {
        fs::write(home.path().join("secrets").join(name), "x").expect("a file");
    }
    let mut command = Command::new(kubectl);
    command.args(["kustomize", "."]).current_dir(home.path()).env_clear().env("HOME", home.path());
    let ended = run(command).await;
    assert!(ended.code == Some(0) && ended.out.contains("kind: Secret"), "{}", ended.err);
}

/// Starts one of two gateways that share a Redis server, as in `compose.redis.yaml`.
async fn replica(redis: &Redis) -> Served {
    let flags = ["--port=0", "--trusted-proxies=127.0.0.1", "--drain-delay=5s", "--admin-tokens", ADMIN];
    let mut gateway = binary("mcp-proxy").args(flags).args(redis.flags()).serve().await;
    gateway.admin = gateway.admin.with_token(ADMIN);
    gateway
}

#[tokio::test]
async fn a_session_goes_on_at_the_other_gateway_behind_the_proxy_of_compose() {
    let redis = Redis::start(&[]).await;
    let mut gateways = [replica(&redis).await, replica(&redis).await];
    let upstream = fake("one").echo("echo").start(Via::Json).await;
    gateways[0].admin.connect(&upstream.definition()).await;
    gateways[1].admin.connected("one").await;
    let own = free_port();
    let config = text("docker/haproxy.cfg").replace("bind :6001", &format!("bind 127.0.0.1:{own}"));
    let config = config.replace("gateway-1:6001", &format!("127.0.0.1:{}", port(&gateways[0])));
    let config = config.replace("gateway-2:6001", &format!("127.0.0.1:{}", port(&gateways[1])));
    let proxy = Proxy::haproxy(&config, own).await;
    let is_up = || async { (raw("GET", &format!("{}/readyz", proxy.url)).send().await.status == 200).then_some(()) };
    eventually("a gateway behind the proxy", is_up).await;
    let mut session = session(&proxy.url, "one").open().await;
    assert!(session.call("1", "echo", "{}").await.contains("\"result\""));
    let mut has_session = [false; 2];
    for (has_session, gateway) in has_session.iter_mut().zip(&gateways) {
        *has_session = gateway.admin.get("/metrics").await.text.contains("mcp_proxy_sessions 1");
    }
    assert_ne!(has_session[0], has_session[1], "the session is at one gateway");
    let stopped = &mut gateways[usize::from(has_session[1])];
    stopped.process.signal(Signal::TERM);
    // Calls go on while the gateway is drained, stops and is away.
    let mut number = 1;
    let mut ended = pin!(stopped.process.ended(DEADLINE));
    loop {
        number += 1;
        let answer = session.call(&number.to_string(), "echo", "{}").await;
        assert!(answer.contains("\"result\""), "call {number}: {answer}\n{}", proxy.err());
        let pause = timeout(Duration::from_millis(50), &mut ended).await;
        if let Ok(ended) = pause {
            assert_eq!(ended.code, Some(0), "{}", ended.err);
            break;
        }
    }
    for more in 1..10 {
        let answer = session.call(&(number + more).to_string(), "echo", "{}").await;
        assert!(answer.contains("\"result\""), "{answer}\n{}", proxy.err());
    }
}
