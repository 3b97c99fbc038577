//! The query parameters of a list: paging, and the list's own filters.

/// Declares the query parameters of a list: the filters given, and `page_size`, `cursor`, `order`.
#[macro_export]
macro_rules! list_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Option<$kind>,)*
            /// Rows a page.
            #[param(minimum = 1, maximum = 100, default = 20)]
            pub page_size: Option<u64>,
            /// The `next_cursor` of the page before.
            pub cursor: Option<String>,
            /// Newest first (`desc`) unless `asc`.
            #[param(inline, default = "desc")]
            pub order: Option<service::page::Order>,
        }
        impl $name {
            /// Which page.
            pub fn page(&self) -> service::page::PageRequest {
                service::page::PageRequest {
                    page_size: self.page_size,
                    cursor: self.cursor.clone(),
                    order: self.order,
                }
            }
        }
    };
}
