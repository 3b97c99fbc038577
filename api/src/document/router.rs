//! [`OpenApiRouter`]: routes and what they say of themselves, with a record of every schema name that two types use.
//! `utoipa` keeps one schema of a name and drops the others in silence: replies of the other type would contradict the
//! contract. So routes are collected here and nowhere else.

use crate::state::AppState;
use axum::{
    Router,
    extract::Request,
    response::IntoResponse,
    routing::{MethodRouter, Route},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};
use tower::{Layer, Service};
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa_axum::router::{OpenApiRouter as Inner, UtoipaMethodRouter};

/// Routes with their description.
pub struct OpenApiRouter<S = AppState> {
    inner: Inner<S>,
    schemas: Schemas,
}

impl Default for OpenApiRouter<AppState> {
    fn default() -> Self {
        Self { inner: Inner::new(), schemas: Schemas::default() }
    }
}

impl OpenApiRouter<AppState> {
    /// Without any route.
    pub fn new() -> Self {
        Self::default()
    }

    /// Without any route, and with what a document says beside its paths.
    pub fn with_openapi(document: OpenApi) -> Self {
        let mut schemas = Schemas::default();
        for (name, schema) in document.components.iter().flat_map(|components| &components.schemas) {
            schemas.add(name, schema);
        }
        Self { inner: Inner::with_openapi(document), schemas }
    }

    /// With the routes of one path.
    pub fn routes(mut self, routes: UtoipaMethodRouter<AppState>) -> Self {
        for (name, schema) in &routes.0 {
            self.schemas.add(name, schema);
        }
        Self { inner: self.inner.routes(routes), ..self }
    }

    /// With a route that the document does not tell of.
    pub fn route(self, path: &str, methods: MethodRouter<AppState>) -> Self {
        Self { inner: self.inner.route(path, methods), ..self }
    }

    /// With the routes of another router.
    pub fn merge(mut self, other: Self) -> Self {
        for (name, schema) in &other.schemas.known {
            self.schemas.add(name, schema);
        }
        self.schemas.clashes.extend(other.schemas.clashes);
        Self { inner: self.inner.merge(other.inner), ..self }
    }

    /// With a layer around every route so far.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { inner: self.inner.layer(layer), ..self }
    }
}

impl<S: Clone + Send + Sync + 'static> OpenApiRouter<S> {
    /// The names that several types give to their schemas.
    pub fn clashes(&self) -> &BTreeSet<String> {
        &self.schemas.clashes
    }

    /// The routes, and the document of them.
    pub fn split_for_parts(self) -> (Router<S>, OpenApi) {
        self.inner.split_for_parts()
    }
}

/// One type has one schema, so a second schema of a name is a second type.
#[derive(Default)]
struct Schemas {
    known: BTreeMap<String, RefOr<Schema>>,
    clashes: BTreeSet<String>,
}

impl Schemas {
    fn add(&mut self, name: &str, schema: &RefOr<Schema>) {
        match self.known.get(name) {
            Some(known) if known == schema => {}
            Some(_) => {
                self.clashes.insert(name.to_owned());
            }
            None => {
                self.known.insert(name.to_owned(), schema.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schemas;
    use utoipa::PartialSchema;

    #[test]
    fn one_name_stands_for_one_schema() {
        let mut schemas = Schemas::default();
        for schema in [String::schema(), String::schema()] {
            schemas.add("Reason", &schema);
        }
        assert!(schemas.clashes.is_empty());
        schemas.add("Reason", &u32::schema());
        assert!(schemas.clashes.contains("Reason"));
    }
}
