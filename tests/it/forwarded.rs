//! A load balancer that the server was not told of is noticed.

use serde_json::json;
use tests::{
    Backend, TestApp, on_both,
    server::{Installation, OWNER, exchange},
};

const SETTING: &str = "TOLLKEEPER_TRUSTED_PROXIES";

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_warned_about_once() {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let server = installation.serve().await;
        let client = reqwest::Client::new();
        let ask = async |name: &str| {
            let request = client.get(server.url("/health/live")).header(name, "203.0.113.5");
            assert_eq!(exchange(request).await.unwrap().status, 200);
        };
        ask("x-other").await;
        assert!(!server.log().contains(SETTING), "{}", server.log());
        for _ in 0..3 {
            ask(header).await;
        }
        assert_eq!(server.log().matches(SETTING).count(), 1, "{}", server.log());
    }
    installation.set("TRUSTED_PROXIES", "127.0.0.1");
    let server = installation.serve().await;
    let request =
        reqwest::Client::new().get(server.url("/health/live")).header("x-forwarded-for", "203.0.113.5");
    exchange(request).await.unwrap();
    assert!(!server.log().contains(SETTING), "{}", server.log());
}

#[tokio::test]
async fn the_doctor_notices_that_all_people_have_one_address() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let mut installation = Installation::new(backend).await.with_owner();
        installation.set("TRUSTED_PROXIES", "127.0.0.1");
        let server = installation.serve().await;
        let invited = installation.run(&["admin", "create-user", "new@example.com"]).await.ok();
        let mut body: serde_json::Value = serde_json::from_str(invited.lines().last().unwrap()).unwrap();
        (body["name"], body["password"]) = ("New".into(), "the first passphrase".into());
        let login = json!({"email": OWNER.0, "password": OWNER.1});
        for (path, body) in [("/v1/auth/accept-invitation", &body), ("/v1/auth/login", &login)] {
            let request = reqwest::Client::new().post(server.url(path)).json(body);
            let reply = exchange(request.header("x-forwarded-for", "10.0.0.9")).await.unwrap();
            assert!(reply.status < 300, "{}", reply.text);
        }
        server.kill();
        let told = installation.run(&["doctor"]).await;
        assert!(told.out.contains("ok     sign-ins"), "{}", told.out);
        installation.unset("TRUSTED_PROXIES");
        let told = installation.run(&["doctor"]).await;
        assert!(told.out.contains("WRONG  sign-ins: all 2 people"), "{}", told.out);
        assert!(told.out.contains("10.0.0.9") && told.out.contains(SETTING), "{}", told.out);
        installation.remove().await;
    }
}

on_both!(several_people_at_one_inside_address_are_a_proxy, |app| {
    let _colleague = app.member().await;
    let login = async |app: &TestApp, email: &str, address: &str| {
        let body = json!({"email": email, "password": tests::PASSWORD});
        app.anonymous().post("/v1/auth/login", body).from(address).await.ok();
    };
    let noticed = async || service::session::only_address(&app.system.db).await.unwrap();
    forget_seeded(&app).await;
    login(&app, "owner@example.com", "10.0.0.9").await;
    login(&app, "owner@example.com", "10.0.0.9").await;
    assert_eq!(noticed().await, None, "one person has one address");
    login(&app, "person0@example.com", "10.0.0.9").await;
    assert_eq!(noticed().await, Some(("10.0.0.9".parse().unwrap(), 2)));
    login(&app, "person0@example.com", "10.0.0.10").await;
    assert_eq!(noticed().await, None, "two addresses are no proxy");
});

/// The sessions that the fixtures were written with have no address.
async fn forget_seeded(app: &TestApp) {
    use sea_orm::ConnectionTrait;
    let past = "UPDATE session SET created_at = '2020-01-01T00:00:00+00:00'";
    app.database().connect().await.execute_unprepared(past).await.unwrap();
}
