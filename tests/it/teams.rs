//! Teams and their members.

use serde_json::json;
use tests::on_both;

const TEAMS: &str = "/v1/organizations/default/teams";

on_both!(a_team_can_be_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let body = json!({"name": "search", "allowed_models": ["gpt-4o*"], "max_key_lifetime": 3600, "tags": {"cost_centre": "4711"}});
    let team = owner.post(TEAMS, &body).await.created();
    assert_eq!(team["name"], "search");
    assert_eq!(team["status"], "active");
    assert_eq!(team["allowed_models"], json!(["gpt-4o*"]));
    assert_eq!(team["max_key_lifetime"], 3600);
    assert_eq!(team["tags"], json!({"cost_centre": "4711"}));
    assert_eq!(team["version"], 1);
    assert_eq!(team["created_at"], "2027-01-15T10:00:00Z");

    let path = format!("{TEAMS}/{}", team["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.ok(), team);
    let changed = owner.patch(&path, json!({"allowed_models": null})).if_match(1).await.ok();
    assert_eq!((&changed["allowed_models"], &changed["version"]), (&json!(null), &json!(2)));
    assert_eq!(changed["name"], "search");
    owner.patch(&path, json!({"name": "x"})).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(2).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
});
