//! Models that a call asks on its way.

use super::*;
use Component::*;
use serde_json::json;

#[test]
fn advisors_are_told_apart_from_the_call() {
    let asked = |model: &str| json!({"type": "advisor_message", "model": model, "input_tokens": 5, "output_tokens": 2});
    let object = json!({"input_tokens": 10, "output_tokens": 3,
        "iterations": [asked("opus"), asked(" OPUS"), asked("fable"), {"type": "advisor_message", "model": "idle"}]});
    let reading = read(&object, None, "").unwrap();
    assert_eq!(reading.usage, used([(Input, 10), (Output, 3), (Request, 1)]));
    let advisor = |model: &str, times: u64| Advisor {
        model: model.to_owned(),
        usage: used([(Input, 5 * times), (Output, 2 * times), (Request, 1)]),
    };
    assert_eq!((reading.advisors, reading.doubts), (vec![advisor("opus", 2), advisor("fable", 1)], vec![]));
}
