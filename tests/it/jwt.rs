//! Access tokens that are not ours, not yet, no more, or not access tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chrono::TimeDelta;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use service::{
    jwt::{Claims, Issuer},
    secrets::Versions,
};
use tests::{TestApp, on_both};

const SEED: [u8; 32] = [3; 32];
const ISSUER: &str = "http://localhost:8080";

/// The parts of a good token.
fn good(app: &TestApp) -> (Value, Value) {
    let token = app.owner().bearer().unwrap();
    let mut parts = token.split('.').map(|part| BASE64.decode(part).unwrap_or_default());
    let mut json = || serde_json::from_slice::<Value>(&parts.next().unwrap()).unwrap();
    (json(), json())
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

fn signed(seed: [u8; 32], header: &Value, claims: &Value) -> String {
    let text = unsigned(header, claims);
    let signature = SigningKey::from_bytes(&seed).sign(text.as_bytes());
    format!("{text}.{}", BASE64.encode(signature.to_bytes()))
}

async fn refused(app: &TestApp, token: &str) {
    app.client(token).get("/v1/auth/me").await.problem(401, "token_invalid");
}

/// A value with one field replaced.
fn with(value: &Value, field: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[field] = new;
    value
}

on_both!(the_test_signs_as_the_server_does, |app| {
    let (header, claims) = good(&app);
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["typ"], "at+jwt");
    app.client(signed(SEED, &header, &claims)).get("/v1/auth/me").await.ok();
});

on_both!(other_algorithms_are_refused, |app| {
    let (header, claims) = good(&app);
    for none in ["none", "None", "NONE", ""] {
        let text = unsigned(&with(&header, "alg", json!(none)), &claims);
        refused(&app, &format!("{text}.")).await;
        refused(&app, &text).await;
    }
    // The public key as a shared secret.
    let public = SigningKey::from_bytes(&SEED).verifying_key();
    for algorithm in ["HS256", "HS384", "HS512", "RS256", "ES256", "PS256"] {
        let text = unsigned(&with(&header, "alg", json!(algorithm)), &claims);
        for key in [public.as_bytes().as_slice(), BASE64.encode(public.as_bytes()).as_bytes()] {
            let mac = service::secrets::hmac(key, &[text.as_bytes()]);
            refused(&app, &format!("{text}.{}", BASE64.encode(mac))).await;
        }
        refused(&app, &signed(SEED, &with(&header, "alg", json!(algorithm)), &claims)).await;
    }
});

on_both!(a_key_is_ours_or_nothing, |app| {
    let (header, claims) = good(&app);
    let other = SigningKey::from_bytes(&[9; 32]);
    refused(&app, &signed([9; 32], &header, &claims)).await;
    for kid in ["", "other", "../../etc/passwd", "/dev/null", "' OR 1=1 --", "\0", "💥"] {
        refused(&app, &signed(SEED, &with(&header, "kid", json!(kid)), &claims)).await;
    }
    let mut bare = header.clone();
    bare.as_object_mut().unwrap().remove("kid");
    refused(&app, &signed(SEED, &bare, &claims)).await;
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(other.verifying_key().as_bytes()) });
    for (field, value) in [
        ("jwk", jwk),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = with(&header, field, value);
        refused(&app, &signed([9; 32], &header, &claims)).await;
        refused(&app, &signed(SEED, &header, &claims)).await;
    }
});

on_both!(every_claim_is_checked, |app| {
    let (header, claims) = good(&app);
    for (field, value) in [
        ("iss", json!("http://attacker.example")),
        ("iss", json!(null)),
        ("aud", json!("http://attacker.example")),
        ("aud", json!([])),
        ("sub", json!("user_1")),
        ("sub", json!(1)),
        ("sid", json!("nonsense")),
        ("exp", json!("never")),
        ("exp", json!(-1)),
        ("ver", json!("1")),
    ] {
        let token = signed(SEED, &header, &with(&claims, field, value.clone()));
        let reply = app.client(token).get("/v1/auth/me").await;
        assert_eq!(reply.status, 401, "{field} = {value}: {}", reply.text);
    }
    for field in ["iss", "aud", "sub", "sid", "ver", "exp", "nbf", "iat"] {
        let mut less = claims.clone();
        less.as_object_mut().unwrap().remove(field);
        refused(&app, &signed(SEED, &header, &less)).await;
    }
    for kind in [json!("JWT"), json!("rt+jwt"), json!(null)] {
        refused(&app, &signed(SEED, &with(&header, "typ", kind), &claims)).await;
    }
    let later = claims["nbf"].as_i64().unwrap() + 60;
    refused(&app, &signed(SEED, &header, &with(&claims, "nbf", json!(later)))).await;
    let version = signed(SEED, &header, &with(&claims, "ver", json!(2)));
    app.client(version).get("/v1/auth/me").await.problem(401, "session_ended");
    // Another person with this session.
    let member = app.member().await.user_id;
    let swapped = signed(SEED, &header, &with(&claims, "sub", json!(member)));
    app.client(swapped).get("/v1/auth/me").await.problem(401, "session_ended");
});

on_both!(a_token_is_good_for_a_quarter_of_an_hour, |app| {
    let caller = app.client(app.owner().bearer().unwrap());
    app.clock.advance(TimeDelta::minutes(15));
    caller.get("/v1/auth/me").await.ok();
    app.clock.advance(TimeDelta::seconds(6));
    caller.get("/v1/auth/me").await.problem(401, "token_expired");
});

on_both!(what_is_no_token_is_refused, |app| {
    let token = app.owner().bearer().unwrap();
    let (text, signature) = token.rsplit_once('.').unwrap();
    let mut flipped = BASE64.decode(signature).unwrap();
    flipped[0] ^= 1;
    for bad in [
        ".",
        "..",
        "a.b.c",
        text,
        &format!("{text}."),
        &format!("{text}.{}", BASE64.encode(flipped)),
        &format!("{token}.{signature}"),
        &"e".repeat(10_000),
    ] {
        refused(&app, bad).await;
    }
    let basic = app.anonymous().get("/v1/auth/me").header("authorization", "Basic b3duZXI6eA==").await;
    basic.problem(401, "unauthenticated");
});

on_both!(the_public_keys_are_published, |app| {
    let keys = app.anonymous().get("/.well-known/jwks.json").await.ok();
    let (header, _) = good(&app);
    let public = SigningKey::from_bytes(&SEED).verifying_key();
    let expected = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
        "kid": header["kid"], "x": BASE64.encode(public.as_bytes()),
    }] });
    assert_eq!(keys, expected);
});

#[test]
fn signing_keys_rotate() {
    let issuer = |versions: &str| Issuer::new(&Versions::parse(versions).unwrap(), ISSUER).unwrap();
    let key = |byte: u8| base64::engine::general_purpose::STANDARD.encode([byte; 32]);
    let (first, second) = (key(1), key(2));
    let before = issuer(&first);
    let published = issuer(&format!("1:{first},2:{second}"));
    let used = issuer(&format!("2:{second},1:{first}"));
    let removed = issuer(&format!("2:{second}"));
    let now = "2027-01-15T10:00:00Z".parse().unwrap();
    let id = uuid::Uuid::from_u128(7);
    let claims =
        Claims { user: entity::id::Id::new(id), session: entity::id::Id::new(id), session_version: 1 };
    let (old, new) = (before.sign(claims, now).unwrap(), used.sign(claims, now).unwrap());
    assert_eq!(published.sign(claims, now).unwrap(), old, "a published key is not used yet");
    assert_ne!(old, new);
    for issuer in [&published, &used] {
        assert_eq!(issuer.verify(&old, now).unwrap(), claims);
        assert_eq!(issuer.verify(&new, now).unwrap(), claims, "published before it is used");
        assert_eq!(issuer.jwks().keys.len(), 2);
    }
    assert_eq!(removed.verify(&new, now).unwrap(), claims);
    removed.verify(&old, now).unwrap_err();
    before.verify(&new, now).unwrap_err();
    let elsewhere = Issuer::new(&Versions::parse(&first).unwrap(), "http://elsewhere").unwrap();
    elsewhere.verify(&old, now).unwrap_err();
}
