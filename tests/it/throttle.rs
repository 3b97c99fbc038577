//! The sign-in throttle: each attempt delays the next one on the same account from the same address prefix.

use crate::auth::{OWNER, statuses};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;
use tests::{PASSWORD, Reply, TestApp, on_both, on_postgres};

async fn attempt(app: &TestApp, address: &str, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password });
    app.anonymous().post("/v1/auth/login", body).from(address).await
}

async fn wrong(app: &TestApp, address: &str) -> Reply {
    attempt(app, address, OWNER, "not the password").await
}

fn wait(reply: &Reply) -> i64 {
    assert_eq!((reply.status, reply.body["code"].as_str()), (429, Some("throttled")), "{}", reply.text);
    reply.header("retry-after").parse().unwrap()
}

on_both!(delays_grow_to_ten_seconds, |app| {
    for failures in 1..=30 {
        wrong(&app, "198.51.100.7").await.problem(401, "invalid_credentials");
        let expected = match failures {
            ..3 => 1,
            3..9 => 3,
            9..25 => 5,
            _ => 10,
        };
        assert_eq!(wait(&wrong(&app, "198.51.100.7").await), expected, "after {failures} failures");
        // Even the right password waits its turn, and being refused does not lengthen the delay.
        assert_eq!(wait(&attempt(&app, "198.51.100.7", OWNER, PASSWORD).await), expected);
        app.clock.advance(TimeDelta::milliseconds(expected * 1000 - 300));
        assert_eq!(
            wait(&wrong(&app, "198.51.100.7").await),
            1,
            "rounded up, so that one who waits is let in"
        );
        app.clock.advance(TimeDelta::milliseconds(300));
    }
});

/// This many failures, each as soon as it may be; how long the last one makes the next one wait.
async fn exhaust(app: &TestApp, address: &str, failures: u32) -> i64 {
    let mut left = 0;
    for _ in 0..failures {
        app.clock.advance(TimeDelta::seconds(left));
        wrong(app, address).await.problem(401, "invalid_credentials");
        left = wait(&attempt(app, address, OWNER, PASSWORD).await);
    }
    left
}

on_both!(no_delay_is_longer_than_five_minutes, |app| {
    assert_eq!(exhaust(&app, "198.51.100.7", 50).await, 60);
    app.clock.advance(TimeDelta::seconds(60));
    assert_eq!(exhaust(&app, "198.51.100.7", 50).await, 300);
    app.clock.advance(TimeDelta::seconds(300));
    assert_eq!(exhaust(&app, "198.51.100.7", 30).await, 300);
    // One who waits is let in, and begins again at nothing.
    app.clock.advance(TimeDelta::seconds(300));
    attempt(&app, "198.51.100.7", OWNER, PASSWORD).await.ok();
    wrong(&app, "198.51.100.7").await.problem(401, "invalid_credentials");
    assert_eq!(wait(&wrong(&app, "198.51.100.7").await), 10, "the account is watched");
});

on_both!(delays_that_a_wrong_clock_set_do_not_outlast_it, |app| {
    // A year ahead, and back.
    app.clock.advance(TimeDelta::days(400));
    exhaust(&app, "198.51.100.7", 100).await;
    app.clock.advance(-TimeDelta::days(400));
    wrong(&app, "198.51.100.7").await.problem(401, "invalid_credentials");
    assert_eq!(wait(&wrong(&app, "198.51.100.7").await), 1, "it begins again at nothing");
    app.clock.advance(TimeDelta::seconds(1));
    attempt(&app, "198.51.100.7", OWNER, PASSWORD).await.ok();
});

on_both!(an_attacker_locks_out_only_its_own_neighbours, |app| {
    let left = exhaust(&app, "198.51.100.7", 50).await;
    assert_eq!(left, 60);
    assert_eq!(wait(&attempt(&app, "198.51.100.200", OWNER, PASSWORD).await), left);
    // The owner elsewhere, and others at the attacker's address, notice nothing.
    attempt(&app, "198.51.101.7", OWNER, PASSWORD).await.ok();
    attempt(&app, "2001:db8::1", OWNER, PASSWORD).await.ok();
    let _neighbour = app.member().await;
    attempt(&app, "198.51.100.7", "person0@example.com", PASSWORD).await.ok();
    app.owner().get("/v1/auth/me").from("198.51.100.7").await.ok();
    // A minute later the neighbours get in, too.
    app.clock.advance(TimeDelta::seconds(left));
    attempt(&app, "198.51.100.7", OWNER, PASSWORD).await.ok();
});

on_both!(an_attack_from_everywhere_locks_nobody_out, |app| {
    for n in 0..150 {
        wrong(&app, &format!("10.0.{n}.1")).await.problem(401, "invalid_credentials");
    }
    // The first attempt from a new place is verified at once; a second one waits longer than usual.
    wrong(&app, "203.0.113.5").await.problem(401, "invalid_credentials");
    assert_eq!(wait(&attempt(&app, "203.0.113.5", OWNER, PASSWORD).await), 10);
    app.clock.advance(TimeDelta::seconds(10));
    wrong(&app, "10.0.200.1").await.problem(401, "invalid_credentials");
    attempt(&app, "203.0.113.5", OWNER, PASSWORD).await.ok();
});

on_both!(success_forgives, |app| {
    for _ in 0..5 {
        wrong(&app, "203.0.113.5").await.problem(401, "invalid_credentials");
        app.clock.advance(TimeDelta::seconds(10));
    }
    attempt(&app, "203.0.113.5", OWNER, PASSWORD).await.ok();
    attempt(&app, "203.0.113.5", OWNER, PASSWORD).await.ok();
    wrong(&app, "203.0.113.5").await.problem(401, "invalid_credentials");
    assert_eq!(wait(&wrong(&app, "203.0.113.5").await), 1);
});

on_both!(a_sixty_four_is_one_place, |app| {
    wrong(&app, "2001:db8:1:1::1").await.problem(401, "invalid_credentials");
    wait(&wrong(&app, "2001:db8:1:1:ffff::2").await);
    wrong(&app, "2001:db8:1:2::1").await.problem(401, "invalid_credentials");
    wrong(&app, "198.51.100.7").await.problem(401, "invalid_credentials");
    wait(&wrong(&app, "::ffff:198.51.100.9").await);
});

on_both!(one_address_tries_many_accounts_slowly, |app| {
    let spray =
        async |n: i32| attempt(&app, "198.51.100.7", &format!("guess{n}@example.com"), PASSWORD).await;
    for n in 0..60 {
        spray(n).await.problem(401, "invalid_credentials");
    }
    assert_eq!(wait(&spray(60).await), 1);
    app.clock.advance(TimeDelta::seconds(1));
    spray(61).await.problem(401, "invalid_credentials");
    wait(&spray(62).await);
    // An account that exists waits as long as one that does not, and a neighbour does not wait.
    assert_eq!(wait(&wrong(&app, "198.51.100.7").await), 1);
    attempt(&app, "198.51.100.8", OWNER, PASSWORD).await.ok();
    attempt(&app, "203.0.113.5", OWNER, PASSWORD).await.ok();
});

on_both!(a_whole_network_tries_many_accounts_slowly, |app| {
    let spray = async |n: i32| {
        attempt(&app, &format!("198.51.100.{}", n % 200), &format!("guess{n}@example.com"), PASSWORD).await
    };
    for n in 0..240 {
        spray(n).await.problem(401, "invalid_credentials");
    }
    assert_eq!(wait(&spray(240).await), 1);
    attempt(&app, "198.51.101.7", OWNER, PASSWORD).await.ok();
});

/// Forty attempts at the same time: one is verified.
async fn race(instances: &[TestApp]) {
    let replies = join_all((0..40).map(|n| wrong(&instances[n % instances.len()], "198.51.100.7"))).await;
    let all = statuses(&replies);
    assert_eq!(all.iter().filter(|status| **status == 401).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|status| **status == 429).count(), 39, "{all:?}");
}

on_both!(parallel_attempts_are_counted_before_they_are_verified, |app| {
    race(&[app]).await;
});

on_postgres!(two_instances_count_together, |app| {
    let second = app.second_instance().await;
    race(&[app, second]).await;
});

on_both!(an_address_behind_a_proxy_counts_only_if_the_proxy_is_trusted, |app| {
    let claim = async |app: &TestApp, address: &str| {
        let body = json!({ "email": OWNER, "password": "not the password" });
        app.anonymous().post("/v1/auth/login", body).header("x-forwarded-for", address).await
    };
    claim(&app, "198.51.100.7").await.problem(401, "invalid_credentials");
    wait(&claim(&app, "203.0.113.5").await);
    let behind =
        app.with_settings(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    claim(&behind, "198.51.100.7").await.problem(401, "invalid_credentials");
    claim(&behind, "203.0.113.5").await.problem(401, "invalid_credentials");
    wait(&claim(&behind, "192.0.2.1, 203.0.113.5").await);
});
