//! Cursors: opaque, authenticated, bound to tenant, list and order.

use crate::teams::{TEAMS, id, make};
use serde_json::json;
use tests::{Client, on_both};

async fn cursor(client: &Client, list: &str) -> String {
    let page = client.get(&format!("{list}page_size=1")).await.ok();
    page["next_cursor"].as_str().expect("another page").to_owned()
}

on_both!(a_cursor_that_is_none_is_refused, |app| {
    let owner = app.owner();
    for name in ["a", "b", "c"] {
        make(&owner, name).await;
    }
    let good = cursor(&owner, &format!("{TEAMS}?")).await;
    owner.get(&format!("{TEAMS}?cursor={good}")).await.ok();
    let flipped = |at: usize| {
        let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &good[..at], &good[at + 1..])
    };
    let mut bad: Vec<String> = (0..good.len()).map(flipped).collect();
    bad.extend(["", "x", "AAAA", &good[1..], &format!("{good}AAAA"), &format!("{good}=")].map(String::from));
    for cursor in bad {
        let problem = owner.get(&format!("{TEAMS}?cursor={cursor}")).await.problem(400, "invalid_cursor");
        assert_eq!(problem["errors"][0]["pointer"], "?cursor");
    }
});

on_both!(a_cursor_belongs_to_its_order_its_list_and_its_organization, |app| {
    let owner = app.owner();
    let teams = [make(&owner, "a").await, make(&owner, "b").await];
    for team in &teams {
        for _ in 0..2 {
            app.team_member(id(team)).await;
        }
    }
    let acme = app.other_organization("acme").await;
    for name in ["a", "b"] {
        acme.post("/v1/organizations/acme/teams", json!({"name": name})).await.created();
    }
    let of_teams = cursor(&owner, &format!("{TEAMS}?")).await;
    let of_members = cursor(&owner, &format!("{}/members?", teams[0])).await;
    for wrong in [
        format!("{TEAMS}?order=asc&cursor={of_teams}"),
        format!("{TEAMS}?cursor={of_members}"),
        format!("{}/members?cursor={of_teams}", teams[0]),
    ] {
        owner.get(&wrong).await.problem(400, "invalid_cursor");
    }
    let foreign = format!("/v1/organizations/acme/teams?cursor={of_teams}");
    acme.get(&foreign).await.problem(400, "invalid_cursor");
    owner.get(&format!("{}/members?cursor={of_members}", teams[0])).await.ok();
});

on_both!(the_size_of_a_page_has_bounds, |app| {
    let owner = app.owner();
    for good in ["1", "100"] {
        owner.get(&format!("{TEAMS}?page_size={good}")).await.ok();
    }
    for bad in ["0", "101", "-1", "x", "", "1.5", "18446744073709551616"] {
        let problem = owner.get(&format!("{TEAMS}?page_size={bad}")).await;
        assert_eq!(problem.status, 400, "{bad}");
    }
    let problem = owner.get(&format!("{TEAMS}?page_size=101")).await.problem(400, "out_of_range");
    assert_eq!(problem["errors"][0]["pointer"], "?page_size");
    for unknown in ["page=2", "surprise=1"] {
        owner.get(&format!("{TEAMS}?{unknown}")).await.problem(400, "unknown_parameter");
    }
    for wrong in ["order=up", "status=gone", "page_size=1&page_size=2"] {
        owner.get(&format!("{TEAMS}?{wrong}")).await.problem(400, "invalid_parameter");
    }
});
