//! Prices: making, reading and listing, of an organization and of the installation; what is no price.

use serde_json::json;
use tests::on_both;

pub const PRICES: &str = "/v1/organizations/default/prices";
pub const PLATFORM: &str = "/v1/prices";

on_both!(a_price_is_made_and_read, |app| {
    let owner = app.owner();
    for prices in [PRICES, PLATFORM] {
        let body = json!({"model": "gpt-4o", "provider": "openai", "kind": "per_token", "input": "2.5", "output": "10"});
        let made = owner.post(prices, &body).await.created();
        for field in ["model", "provider", "kind", "input", "output"] {
            assert_eq!(made[field], body[field], "{field}");
        }
        let path = format!("{prices}/{}", made["id"].as_str().unwrap());
        assert_eq!(owner.get(&path).await.ok(), made);
        let now = "2027-01-15T10:00:00Z";
        for query in [
            "",
            "?model=gpt-4o",
            "?provider=openai&kind=per_token&origin=manual",
            &format!("?in_force_at={now}"),
        ] {
            assert_eq!(owner.get(&format!("{prices}{query}")).await.ok()["items"], json!([made]), "{query}");
        }
    }
});
