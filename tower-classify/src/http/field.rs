use http::{HeaderMap, HeaderName, HeaderValue};

/// Returns the first value of a field.
///
/// The trailers of a gRPC call, and most heads of its responses, have so few fields that comparing their names takes less
/// time than hashing this one.
pub(super) fn get<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if headers.len() > FEW {
        return headers.get(name);
    }
    let mut fields = headers.iter();
    fields.find_map(|(other, value)| (other == name).then_some(value))
}

const FEW: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_among_few_and_among_many() {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("x-9");
        for number in 0..2 * FEW {
            assert_eq!(get(&headers, &name), None);
            let other = HeaderName::try_from(format!("x-{number}")).unwrap();
            headers.insert(other, number.into());
            let mut found = headers.clone();
            found.append(&name, 1.into());
            found.append(&name, 2.into());
            assert_eq!(get(&found, &name), found.get(&name));
        }
    }
}
