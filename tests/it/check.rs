//! Decisions by status: `/v1/check` as proxies ask it, and behind a real nginx with `auth_request`.

use crate::decisions::issue;
use axum::{Json, Router, extract::Request, http::Method};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tests::{Client, Reply, TestApp, on_both};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that asks about calls with a key.
struct Proxy {
    client: Client,
    token: String,
}

impl Proxy {
    async fn new(app: &TestApp, key: &Value) -> Self {
        let client = app.client(key["secret"].as_str().unwrap());
        Self { client, token: app.gateway().await.bearer().unwrap() }
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask_by(Method::GET, path, headers).await
    }

    async fn ask_by(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.client.request(method, path).header("tollkeeper-gateway-token", &self.token);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).await
    }
}

#[track_caller]
fn denied(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.header("tollkeeper-denied")), (status, code), "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(status == 401, reply.headers.contains_key("www-authenticate"));
}

on_both!(a_good_key_gets_200_and_its_identity, |app| {
    let key = issue(&app, json!({"name": "Übung 100% \u{1f600}"})).await;
    let proxy = Proxy::new(&app, &key).await;
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    let odd = Method::from_bytes(b"PROPFIND").unwrap();
    for method in methods.into_iter().chain([odd]) {
        for path in ["/v1/check", "/v1/check/", "/v1/check/v1/chat/completions?x=1", "/v1/check//a/../b"] {
            let reply = proxy.ask_by(method.clone(), path, &[]).await;
            assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text);
            assert_eq!(reply.header("tollkeeper-key-id"), key["id"].as_str().unwrap());
            assert_eq!(reply.header("tollkeeper-key-name"), "%C3%9Cbung%20100%25%20%F0%9F%98%80");
            assert_eq!(reply.header("tollkeeper-team-id"), key["team_id"].as_str().unwrap());
            assert_eq!(reply.header("tollkeeper-organization-id"), app.organization.to_string());
            assert!(reply.header("tollkeeper-decision-id").starts_with("dec_"));
        }
    }
});

on_both!(without_a_gateway_token_no_method_gets_through, |app| {
    let key = issue(&app, json!({})).await;
    let client = app.client(key["secret"].as_str().unwrap());
    for method in [Method::GET, Method::POST, Method::PUT, Method::OPTIONS, Method::DELETE] {
        for path in ["/v1/check", "/v1/check/v1/messages"] {
            client.request(method.clone(), path).await.problem(401, "unauthenticated");
            let wrong = client.request(method.clone(), path).header("tollkeeper-gateway-token", "x");
            wrong.await.problem(401, "token_invalid");
            let own = client
                .request(method.clone(), path)
                .header("tollkeeper-gateway-token", client.bearer().unwrap());
            own.await.problem(403, "forbidden");
        }
    }
    let with_cors = app.with_settings(|settings| settings.cors_origins = vec!["https://example.com".into()]);
    let preflight =
        with_cors.anonymous().request(Method::OPTIONS, "/v1/check").header("origin", "https://example.com");
    preflight.header("access-control-request-method", "GET").await.problem(401, "unauthenticated");
});

on_both!(a_bad_key_gets_401_and_a_call_it_may_not_make_403, |app| {
    let key = issue(&app, json!({"allowed_models": ["gpt-*"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    assert_eq!(proxy.ask("/v1/check", &[("x-model", "gpt-4o")]).await.status, 200);
    let denial = proxy.ask("/v1/check", &[("x-model", "o3")]).await;
    denied(&denial, 403, "model_not_allowed");
    assert_eq!(denial.body["error"]["code"], "model_not_allowed");
    denied(&proxy.ask("/v1/check", &[]).await, 403, "model_not_allowed");
    denied(&proxy.ask("/v1/check?deny_status=401", &[]).await, 401, "model_not_allowed");
    let anthropic = proxy.ask("/v1/check/v1/messages", &[("x-model", "o3")]).await;
    assert_eq!(anthropic.body["error"]["type"], "permission_error");
    assert_eq!(anthropic.body["type"], "error");
    let anthropic = proxy.ask("/v1/check", &[("anthropic-version", "2023-06-01")]).await;
    assert_eq!(anthropic.body["type"], "error");

    for (header, value) in
        [("authorization", "Bearer nonsense"), ("authorization", "Basic eDp5"), ("authorization", "")]
    {
        denied(&proxy.ask("/v1/check", &[(header, value)]).await, 401, "key_unknown");
    }
    denied(&proxy.ask("/v1/check?deny_status=403", &[("authorization", "")]).await, 403, "key_unknown");
    let secret = key["secret"].as_str().unwrap();
    let headers = [("authorization", ""), ("x-api-key", secret), ("x-model", "gpt-4o")];
    assert_eq!(proxy.ask("/v1/check", &headers).await.status, 200, "as some SDKs send it");
});

on_both!(the_kind_of_call_is_told_by_the_path, |app| {
    let key = issue(&app, json!({"scopes": ["chat", "messages"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    for (path, scope, allowed) in [
        ("/v1/check/v1/chat/completions", "", true),
        ("/v1/check/chat/completions?stream=1", "", true),
        ("/v1/check/v1/messages", "", true),
        ("/v1/check/v1/messages/count_tokens", "", true),
        ("/v1/check/v1/embeddings", "", false),
        ("/v1/check/v1/embeddings", "chat", false),
        ("/v1/check/v1/completions", "", false),
        ("/v1/check/v1/chat/completionsx", "", false),
        ("/v1/check/v1/unheard-of", "chat", true),
        ("/v1/check", "chat", true),
        ("/v1/check", "", false),
    ] {
        let reply = proxy.ask(path, &[("x-scope", scope)]).await;
        assert_eq!(reply.status, if allowed { 200 } else { 403 }, "{path} {scope}: {}", reply.text);
    }
});

const IP: &str = "tollkeeper-client-ip";
const FORWARDED: (&str, &str) = (IP, "forwarded");

on_both!(the_clients_address_is_what_the_gateway_says, |app| {
    let key = issue(&app, json!({"allowed_cidrs": ["203.0.113.0/24"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    let behind =
        app.with_settings(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let behind = Proxy::new(&behind, &key).await;
    for (headers, direct, through_a_proxy) in [
        (&[(IP, "203.0.113.7")][..], 200, 200),
        (&[(IP, "198.51.100.1")], 403, 403),
        (&[], 403, 403),
        (&[("x-forwarded-for", "203.0.113.7")], 403, 403),
        (&[FORWARDED], 403, 403),
        (&[FORWARDED, ("x-forwarded-for", "203.0.113.7")], 200, 403),
        (&[FORWARDED, ("x-forwarded-for", "198.51.100.1, 203.0.113.7")], 200, 403),
        (&[FORWARDED, ("x-forwarded-for", "203.0.113.7, 198.51.100.1")], 403, 403),
        (&[FORWARDED, ("x-forwarded-for", "203.0.113.7, nonsense")], 403, 403),
        (&[FORWARDED, ("x-real-ip", "203.0.113.7")], 200, 403),
    ] {
        assert_eq!(proxy.ask("/v1/check", headers).await.status, direct, "{headers:?}");
        assert_eq!(behind.ask("/v1/check", headers).await.status, through_a_proxy, "{headers:?}");
    }
    proxy.ask("/v1/check", &[(IP, "1.2.3")]).await.problem(400, "invalid_header");
});

/// A running nginx; it ends with the test.
struct Nginx {
    process: Child,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(more).map(|place| place.join("nginx")).find(|file| file.is_file());
    found.expect("nginx is not installed. Run: sudo apt-get install nginx (or: brew install nginx)")
}

impl Nginx {
    /// Asks `tollkeeper` about each request before it passes it to `upstream`.
    async fn start(tollkeeper: SocketAddr, upstream: SocketAddr, token: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("tollkeeper-nginx-").tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let config = configuration(directory.path(), address, (tollkeeper, upstream), token);
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let process = Command::new(program())
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { process, address, directory };
        for _ in 0..100 {
            if TcpStream::connect(address).await.is_ok() {
                return nginx;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(nginx.directory.path().join("error.log"));
        panic!("nginx does not answer: {}", log.unwrap_or_default());
    }
}

fn configuration(
    directory: &Path,
    address: SocketAddr,
    (tollkeeper, upstream): (SocketAddr, SocketAddr),
    token: &str,
) -> String {
    let directory = directory.display();
    format!(
        r#"
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{
    listen {address};
    location / {{
      auth_request /_tollkeeper;
      auth_request_set $key_id $upstream_http_tollkeeper_key_id;
      auth_request_set $team_id $upstream_http_tollkeeper_team_id;
      proxy_set_header Authorization "";
      proxy_set_header X-Key-Id $key_id;
      proxy_set_header X-Team-Id $team_id;
      proxy_pass http://{upstream};
    }}
    location = /_tollkeeper {{
      internal;
      proxy_pass http://{tollkeeper}/v1/check$request_uri;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Tollkeeper-Gateway-Token {token};
      proxy_set_header Tollkeeper-Client-Ip $remote_addr;
      proxy_set_header X-Scope "";
    }}
  }}
}}
"#
    )
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// What came through to the provider.
async fn echo(request: Request) -> Json<Value> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Json(json!({"path": request.uri().path(), "key_id": header("x-key-id"), "team_id": header("x-team-id"),
        "authorization": header("authorization")}))
}

on_both!(nginx_lets_through_what_is_allowed, |app| {
    let fields = json!({"allowed_models": ["gpt-*"], "scopes": ["chat"], "allowed_cidrs": ["127.0.0.0/8"]});
    let key = issue(&app, fields).await;
    let tollkeeper = serve(api::app(app.state.clone())).await;
    let upstream = serve(Router::new().fallback(echo)).await;
    let nginx = Nginx::start(tollkeeper, upstream, &app.gateway().await.bearer().unwrap()).await;
    let send = async |path: &str, bearer: &str, model: &str| {
        let client = reqwest::Client::new();
        let request =
            client.post(format!("http://{}{path}", nginx.address)).header("x-model", model).body("{}");
        let reply = request.bearer_auth(bearer).send().await.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap_or_default())
    };
    let secret = key["secret"].as_str().unwrap();
    let (status, seen) = send("/v1/chat/completions?stream=true", secret, "gpt-4o").await;
    assert_eq!(status, 200, "{seen}");
    assert_eq!(seen["path"], "/v1/chat/completions");
    assert_eq!((&seen["key_id"], &seen["team_id"]), (&key["id"], &key["team_id"]));
    assert_eq!(seen["authorization"], Value::Null, "the virtual key stays here");

    assert_eq!(send("/v1/chat/completions", secret, "o3").await.0, 403);
    assert_eq!(send("/v1/embeddings", secret, "gpt-4o").await.0, 403);
    assert_eq!(send("/v1/chat/completions", "nonsense", "gpt-4o").await.0, 401);
    app.owner().post(&format!("{}/revoke", crate::keys::path(&key)), json!({})).await.ok();
    assert_eq!(send("/v1/chat/completions", secret, "gpt-4o").await.0, 401);
});
