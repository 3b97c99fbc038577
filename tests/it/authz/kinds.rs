//! Who asks at all: nobody, and credentials of the wrong kind.

use super::{
    ask::{ask, document, nobodys, operations, path},
    doors::{Door, door},
    world::World,
};
use service::token::{TokenKind, mint};
use tests::on_both;

on_both!(nobody_opens_only_what_is_public, |app| {
    let document = document();
    let random = |prefix: &str| nobodys(prefix);
    for operation in operations(document) {
        let path = path(&operation, "default", nobodys);
        let reply = ask(document, &operation, &app.anonymous(), &path, &random).await;
        if door(&operation) == Door::Public {
            // A sign-in with a wrong password is unauthenticated as well, but says so in other words.
            assert_ne!(reply.body["code"], "unauthenticated", "{}", operation.id());
        } else {
            assert_eq!(reply.status, 401, "{} answered nobody with {}", operation.id(), reply.text);
            reply.problem(401, "unauthenticated");
        }
    }
});

on_both!(nonsense_is_no_credential, |app| {
    let document = document();
    let unknown = |kind| mint(&app.system, kind, uuid::Uuid::from_u128(7)).token.expose().to_owned();
    let kinds =
        [TokenKind::Admin, TokenKind::Refresh, TokenKind::Invitation, TokenKind::PasswordReset].map(unknown);
    let words = ["x", "a.b.c", "tka_", "tk_x_y_z", "null"].map(String::from);
    for operation in operations(document) {
        if !matches!(door(&operation), Door::Needs(_)) {
            continue;
        }
        for bearer in words.iter().chain(&kinds) {
            let path = path(&operation, "default", nobodys);
            let request = ask(document, &operation, &app.client(bearer), &path, &|prefix| nobodys(prefix));
            request.await.problem(401, "token_invalid");
        }
    }
});

on_both!(kinds_of_credentials_are_disjoint, |app| {
    let document = document();
    let world = World::build(&app, &app.owner(), "default", "here").await;
    let admins = [app.owner(), app.client(&world.admin_token)];
    let (key, gateway) = (app.client(&world.key), app.client(&world.gateway_token));
    for operation in operations(document) {
        let wrong = match door(&operation) {
            Door::Public => vec![],
            Door::Needs(_) => vec![&key, &gateway],
            Door::Gateway => vec![&admins[0], &admins[1], &key],
            Door::Key => vec![&admins[0], &admins[1], &gateway],
        };
        for client in wrong {
            let path = path(&operation, "default", nobodys);
            let request = ask(document, &operation, client, &path, &|prefix| nobodys(prefix));
            // Proxies send their token beside the virtual key of their client.
            let reply = request.header("tollkeeper-gateway-token", client.bearer().unwrap()).await;
            assert_eq!(reply.status, 403, "{} answered {client:?} with {}", operation.id(), reply.text);
            reply.problem(403, "forbidden");
        }
    }
});
