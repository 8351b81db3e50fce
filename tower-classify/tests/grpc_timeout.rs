//! Parsing and formatting of the header `grpc-timeout`.
#![cfg(feature = "http")]

use std::time::Duration;

use proptest::prelude::*;
use tower_classify::http::grpc_timeout::{format, parse};

const MS: Duration = Duration::from_millis(1);

#[test]
fn all_units_are_parsed_and_formatted() {
    for (text, duration) in [
        ("0n", Duration::ZERO),
        ("1n", Duration::from_nanos(1)),
        ("99999999n", Duration::from_nanos(99_999_999)),
        ("100000u", 100 * MS),
        ("99999999u", Duration::from_micros(99_999_999)),
        ("100000m", Duration::from_secs(100)),
        ("100000S", Duration::from_secs(100_000)),
        ("1700000M", Duration::from_secs(60 * 1_700_000)),
        ("99999999H", Duration::from_secs(3600 * 99_999_999)),
    ] {
        assert_eq!(parse(text.as_bytes()), Ok(duration), "{text}");
        assert_eq!(format(duration).as_str().parse(), Ok(text.to_owned()));
    }
    for (text, duration) in [("8H", 8 * 3600), ("1M", 60), ("007S", 7)] {
        assert_eq!(parse(text.as_bytes()), Ok(Duration::from_secs(duration)));
    }
    assert_eq!(format(Duration::MAX).as_str(), "99999999H");
}

#[test]
fn invalid_values_are_rejected() {
    for text in [
        "",
        "S",
        "5",
        "5s",
        "5h",
        "-5S",
        "+5S",
        "5 S",
        " 5S",
        "1.5S",
        "123456789n",
        "5SS",
        "\u{665}S",
        "\0S",
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("expected up to 8 digits"),
            "{error}"
        );
    }
    let long = parse(&[b'x'; 1_000_000]).unwrap_err();
    assert!(
        long.to_string().len() < 200,
        "the error does not contain all of a long value"
    );
}

proptest! {
    #[test]
    fn parsing_never_panics(value in prop::collection::vec(any::<u8>(), 0..12)) {
        if let Ok(duration) = parse(&value) {
            prop_assert_eq!(parse(format(duration).as_str().as_bytes()), Ok(duration), "no unit is lost");
        }
    }

    #[test]
    fn a_formatted_timeout_is_never_longer_and_only_slightly_shorter(seconds in 0..400_000_000_000_u64, nanos in 0..1_000_000_000_u32, shift in 0..64_u32) {
        let duration = Duration::new(seconds >> (shift % 40), nanos >> (shift / 3));
        let value = format(duration);
        prop_assert!(value.as_str().len() <= 9);
        let back = parse(value.as_str().as_bytes()).unwrap();
        prop_assert!(back <= duration);
        // Eight digits, in units of which each is at most 3,600 times the next: the rounding error is small.
        let lost = (duration - back).as_secs_f64() / duration.as_secs_f64().max(1e-9);
        prop_assert!(duration > Duration::from_secs(359_999_996_400) || lost < 1e-4, "{duration:?} {back:?}");
    }
}
