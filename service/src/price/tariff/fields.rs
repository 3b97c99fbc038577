//! The rates as fields: one list for whatever states rates and whatever changes them, so that no two can differ.

/// Gives each rate to a macro, after what it is given here: the field, the component, the form, the documentation.
macro_rules! each_rate {
    ($then:ident! { $($given:tt)* }) => {
        $crate::price::tariff::$then! {
            $($given)*
            input Input PerMillion "Prompt tokens that came from no cache, a million.";
            cache_read CacheRead PerMillion "Prompt tokens read from a cache, a million; as `input` if absent.";
            cache_write CacheWrite PerMillion "Prompt tokens written to a cache, a million; as `input` if absent.";
            cache_write_1h CacheWrite1h PerMillion "Prompt tokens written to a cache for an hour, a million; as `cache_write` if absent.";
            output Output PerMillion "Completion tokens without reasoning, a million.";
            reasoning Reasoning PerMillion "Reasoning tokens, a million; as `output` if absent.";
            audio_input AudioInput PerMillion "Tokens of audio in the prompt, a million; as `input` if absent.";
            audio_output AudioOutput PerMillion "Tokens of audio in the completion, a million; as `output` if absent.";
            image_input ImageInput PerMillion "Tokens of images in the prompt, a million; as `input` if absent.";
            image_output ImageOutput PerMillion "Tokens of images in the completion, a million; as `output` if absent.";
            cache_read_audio CacheReadAudio PerMillion "Tokens of audio in the prompt read from a cache, a million; if absent, the share of `audio_input` that `cache_read` is of `input`.";
            per_request Request PerUnit "A request.";
            per_image Image PerUnit "An image.";
            per_second Second PerUnit "A second of audio or video.";
            per_character Character PerUnit "A character.";
            per_web_search WebSearch PerUnit "A web search that the provider runs for a call.";
            per_code_execution CodeExecution PerUnit "An execution of code that the provider runs for a call.";
        }
    };
}

/// Adds a field for each rate to a struct.
macro_rules! rated {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $crate::price::tariff::each_rate! { with_rates! { [$(#[$meta])*] $name [$($own)*] } }
    };
}
macro_rules! with_rates {
    ([$($meta:tt)*] $name:ident [$($own:tt)*]
     $($rate:ident $component:ident $unit:ident $about:literal;)*) => {
        $($meta)*
        pub struct $name {
            $($own)*
            $(#[doc = $about]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $rate: Option<$crate::price::tariff::$unit>,)*
        }
        impl $name {
            /// The rates that it states.
            pub fn rates(&self) -> entity::terms::Rates {
                let stated = [$((entity::terms::Component::$component, self.$rate.map(|rate| rate.0))),*];
                entity::terms::Rates(stated.into_iter().filter_map(|(c, rate)| Some((c, rate?))).collect())
            }
            /// States these rates and no others.
            pub fn set_rates(&mut self, rates: &entity::terms::Rates) {
                let get = |component| rates.0.get(&component).copied();
                $(self.$rate = get(entity::terms::Component::$component).map($crate::price::tariff::$unit);)*
            }
        }
    };
}

/// Adds a field for a change of each rate to a struct: absent = keep, null = no such rate.
macro_rules! changes_rates {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $crate::price::tariff::each_rate! { with_changes! { [$(#[$meta])*] $name [$($own)*] } }
    };
}
macro_rules! with_changes {
    ([$($meta:tt)*] $name:ident [$($own:tt)*]
     $($rate:ident $component:ident $unit:ident $about:literal;)*) => {
        $($meta)*
        pub struct $name {
            $($own)*
            $(#[doc = $about]
            #[serde(default, with = "serde_with::rust::double_option")]
            #[schema(value_type = Option<$crate::price::tariff::$unit>)]
            pub $rate: Option<Option<$crate::price::tariff::$unit>>,)*
        }
        impl $name {
            fn change_rates(&self, price: &mut $crate::price::NewPrice) {
                $(set(&mut price.$rate, self.$rate);)*
            }
        }
    };
}
pub(crate) use {changes_rates, each_rate, rated, with_changes, with_rates};
