//! Any object that a provider may send: what it says it used is charged, all of it, and nothing twice.

use super::*;
use Component::*;
use serde_json::{Value, json};

/// How many of a whole are in each of some disjoint parts; the rest is in none.
fn parts(whole: u64, count: usize) -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(0..=whole, count).prop_map(|mut cuts| {
        cuts.sort_unstable();
        let from = std::iter::once(0).chain(cuts.clone());
        cuts.iter().zip(from).map(|(to, from)| to - from).collect()
    })
}

/// A whole and disjoint parts of it.
fn split(count: usize) -> impl Strategy<Value = (u64, Vec<u64>)> {
    up_to(1_000_000).prop_flat_map(move |whole| (Just(whole), parts(whole, count)))
}

fn get(usage: &Usage, components: &[Component]) -> Vec<u64> {
    components.iter().map(|component| usage.get(*component)).collect()
}

proptest! {
    #[test]
    fn openai_chat(
        (prompt, cache) in split(2), media in (0u64..=100, 0u64..=100), (completion, generated) in split(3),
        apart in any::<bool>(), total in any::<bool>()
    ) {
        let (audio, image) = (prompt * media.0 / 200, prompt * media.1 / 200);
        let (reasoning, visible) = (generated[0], completion - generated[0]);
        let apart = apart && total;
        let mut object = json!({
            "prompt_tokens": prompt,
            "completion_tokens": if apart { visible } else { completion },
            "prompt_tokens_details": {
                "cached_tokens": cache[0], "cache_write_tokens": cache[1],
                "audio_tokens": audio, "image_tokens": image,
            },
            "completion_tokens_details": {
                "reasoning_tokens": reasoning, "audio_tokens": generated[1], "image_tokens": generated[2],
            },
        });
        if total {
            object["total_tokens"] = json!(prompt + completion);
        }
        let usage = read(&object, None, "").unwrap().usage;
        prop_assert_eq!((usage.prompt_tokens(), usage.completion_tokens()), (prompt, completion));
        prop_assert_eq!(usage.get(CacheRead) + usage.get(CacheReadAudio), cache[0]);
        prop_assert_eq!(usage.get(CacheWrite), cache[1]);
        prop_assert!(usage.get(AudioInput) + usage.get(CacheReadAudio) <= audio);
        prop_assert_eq!(get(&usage, &[Reasoning, AudioOutput, ImageOutput]), generated);
        prop_assert!(usage.get(AudioInput) <= audio && usage.get(ImageInput) <= image);
        let text = prompt - audio - image;
        prop_assert!(usage.get(Input) <= text, "text is cached first, and never more than there is");
    }

    #[test]
    fn openai_responses(
        (input, classes) in split(5), (output, generated) in split(3), details in any::<bool>()
    ) {
        // By class: cached text, cached audio, cached image, audio, image; the rest is text.
        let [text, audio, image] = [classes[0], classes[1], classes[2]];
        let spelled = if details { "input_tokens_details" } else { "input_token_details" };
        let object = json!({
            "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
            spelled: {
                "cached_tokens": text + audio + image,
                "audio_tokens": audio + classes[3], "image_tokens": image + classes[4],
                "cached_tokens_details": {"text_tokens": text, "audio_tokens": audio, "image_tokens": image},
            },
            "output_tokens_details": {
                "reasoning_tokens": generated[0], "audio_tokens": generated[1], "image_tokens": generated[2],
            },
        });
        let usage = read(&object, None, "").unwrap().usage;
        prop_assert_eq!((usage.prompt_tokens(), usage.completion_tokens()), (input, output));
        let counts = [text + image, audio, classes[3], classes[4]];
        prop_assert_eq!(get(&usage, &[CacheRead, CacheReadAudio, AudioInput, ImageInput]), counts);
        prop_assert_eq!(get(&usage, &[Reasoning, AudioOutput, ImageOutput]), generated);
    }

    #[test]
    fn anthropic(
        counts in proptest::array::uniform4(up_to(MOST / 4)), (output, thinking) in split(1),
        told in any::<(bool, bool)>()
    ) {
        let [input, cached, minutes, hour] = counts;
        let mut object = json!({
            "input_tokens": input, "cache_read_input_tokens": cached, "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": thinking[0]},
        });
        if told.0 {
            object["cache_creation_input_tokens"] = json!(minutes + hour);
        }
        if told.1 {
            object["cache_creation"] =
                json!({"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour});
        }
        let usage = read(&object, None, "").unwrap().usage;
        let written = match told {
            (_, true) => [minutes, hour],
            (true, false) => [minutes + hour, 0],
            (false, false) => [0, 0],
        };
        prop_assert_eq!(get(&usage, &[Input, CacheRead, CacheWrite, CacheWrite1h]),
            [input, cached, written[0], written[1]]);
        prop_assert_eq!(get(&usage, &[Output, Reasoning]), [output - thinking[0], thinking[0]]);
        prop_assert_eq!(usage.total_tokens(), input + cached + written[0] + written[1] + output);
    }

    #[test]
    fn gemini(
        (prompt, asked) in split(5), (tools, read_by_tools) in split(2), (answer, media) in split(2),
        thoughts in up_to(100_000), (total, within) in any::<(bool, bool)>()
    ) {
        // By class: cached text, cached audio, cached image, audio, image; the rest is text, video or a document.
        let [text, audio, image] = [asked[0], asked[1], asked[2]];
        let within = within && total;
        let list = |counts: &[(&str, u64)]| -> Vec<Value> {
            counts.iter().map(|(modality, count)| json!({"modality": modality, "tokenCount": count})).collect()
        };
        let mut object = json!({
            "promptTokenCount": prompt, "toolUsePromptTokenCount": tools,
            "cachedContentTokenCount": text + audio + image,
            "candidatesTokenCount": if within { answer + thoughts } else { answer },
            "thoughtsTokenCount": thoughts,
            "promptTokensDetails": list(&[
                ("AUDIO", audio + asked[3]), ("IMAGE", image + asked[4]),
                ("VIDEO", prompt - asked.iter().sum::<u64>()), ("TEXT", text),
            ]),
            "cacheTokensDetails": list(&[("TEXT", text), ("AUDIO", audio), ("IMAGE", image)]),
            "toolUsePromptTokensDetails": list(&[("IMAGE", read_by_tools[0]), ("AUDIO", read_by_tools[1])]),
            "candidatesTokensDetails": list(&[("AUDIO", media[0]), ("IMAGE", media[1])]),
        });
        if total {
            object["totalTokenCount"] = json!(prompt + tools + answer + thoughts);
        }
        let usage = read(&object, None, "").unwrap().usage;
        prop_assert_eq!(usage.prompt_tokens(), prompt + tools);
        prop_assert_eq!(usage.completion_tokens(), answer + thoughts);
        prop_assert_eq!(get(&usage, &[CacheRead, CacheReadAudio, AudioInput, ImageInput]),
            [text + image, audio, asked[3] + read_by_tools[1], asked[4] + read_by_tools[0]]);
        prop_assert_eq!(get(&usage, &[Reasoning, AudioOutput, ImageOutput]), [thoughts, media[0], media[1]]);
    }

    #[test]
    fn cohere((all, billed) in split(1), output in up_to(1_000_000), cached in 0u64..=100) {
        let (billed, cached) = (billed[0], all * cached / 100);
        let object = json!({
            "billed_units": {"input_tokens": billed, "output_tokens": output},
            "tokens": {"input_tokens": all, "output_tokens": output + 7},
            "cached_tokens": cached,
        });
        let usage = read(&object, None, "").unwrap().usage;
        prop_assert_eq!((usage.prompt_tokens(), usage.completion_tokens()), (billed, output));
        prop_assert!(usage.get(Component::CacheRead) <= cached);
        prop_assert!(usage.get(Component::Input) <= all - cached || billed - usage.get(Component::Input) == 0
            || usage.get(Component::CacheRead) == cached - (all - billed));
    }
}
