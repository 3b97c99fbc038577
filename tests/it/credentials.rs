//! Credentials: adding, reading, listing, changing, deleting; what a secret may be, and that it never comes back.

use crate::connections;
use serde_json::json;
use tests::{Client, on_both};

pub const SECRET: &str = "sk-proj-canary0123456789abcdefx7Qd";

/// Makes a connection with one credential; the path of its credentials and the credential's.
pub async fn make(client: &Client, name: &str) -> (String, String) {
    let path = format!("{}/credentials", connections::make(client, name).await);
    let added = client.post(&path, json!({ "secret": SECRET })).await.created();
    let credential = format!("{path}/{}", added["id"].as_str().unwrap());
    (path, credential)
}

on_both!(a_credential_can_be_added_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "production").await;
    let read = owner.get(&credential).await.ok();
    assert_eq!((&read["label"], &read["state"]), (&json!("API key 1"), &json!("active")));
    assert_eq!((&read["display"], &read["version"]), (&json!("sk-proj-...x7Qd"), &json!(1)));
    assert_eq!(read["digest"].as_str().unwrap().len(), 64);
    assert_eq!((&read["last_used_at"], &read["state_reason"]), (&json!(null), &json!(null)));
    assert_eq!(read["created_by"], owner.user_id);
    assert_eq!(owner.get(&path).await.ok()["items"], json!([read]));
    let changed = owner.patch(&credential, json!({"label": "old"})).if_match(1).await.ok();
    assert_eq!((&changed["label"], &changed["version"]), (&json!("old"), &json!(2)));
    owner.delete(&credential).if_match(2).await.no_content();
    owner.get(&credential).await.problem(404, "not_found");
    owner.delete(&credential).await.problem(404, "not_found");
    assert_eq!(owner.get(&path).await.ok()["items"], json!([]));
});
