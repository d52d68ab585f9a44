//! Writes files as the Go TinyStoreDB wrote them, for the import's tests.

/// A file in memory, and where each key and value in it starts.
#[derive(Clone, Debug, Default)]
pub struct GoFile {
    pub bytes: Vec<u8>,
    /// Offsets of the length prefixes, of key, value, key, value, ...
    pub members: Vec<usize>,
}

impl GoFile {
    pub fn new(pairs: &[(&[u8], &[u8])]) -> GoFile {
        let mut file = GoFile::default();
        for (key, value) in pairs {
            file.pair(key, value);
        }
        file
    }

    pub fn pair(&mut self, key: &[u8], value: &[u8]) {
        for string in [key, value] {
            self.members.push(self.bytes.len());
            self.bytes.extend(member(string));
        }
    }
}

/// A length prefix and the GOB message.
fn member(string: &[u8]) -> Vec<u8> {
    let content = [&[12, 0], &unsigned(string.len())[..], string].concat();
    let message = [unsigned(content.len()), content].concat();
    [&(message.len() as u32).to_be_bytes()[..], &message].concat()
}

fn unsigned(value: usize) -> Vec<u8> {
    if value < 128 {
        return vec![value as u8];
    }
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [vec![(bytes.len() as u8).wrapping_neg()], bytes].concat()
}

/// What `make demo` imports: fifty made-up towns with four facts each, and one fact set a second time,
/// which the Go store never noticed.
pub fn demo() -> GoFile {
    let first = ["Alder", "Birch", "Cedar", "Dove", "Elm", "Fern", "Gold", "Hazel", "Iron", "Jay"];
    let second = ["bridge", "field", "ford", "haven", "mouth"];
    let rivers = ["Amber", "Brindle", "Clear", "Dusk", "Ember", "Fallow", "Grey"];
    let mut file = GoFile::default();
    for town in 0..first.len() * second.len() {
        let name = format!("{}{}", first[town % first.len()], second[town / first.len()]);
        let mut fact = |fact: &str, value: String| {
            file.pair(format!("town/{name}/{fact}").as_bytes(), value.as_bytes());
        };
        fact("founded", format!("{}", 1100 + town * 17));
        fact(
            "mayor",
            format!("{} Ölund-{}", first[(town * 3 + 4) % first.len()], second[town % second.len()]),
        );
        fact("population", format!("{}", 900 + town * town * 37 + town * 211));
        fact("river", rivers[town % rivers.len()].to_string());
    }
    file.pair(b"town/Alderbridge/population", b"1000");
    file
}

/// An independent reading of such a file: its pairs, or `None` where it is not well-formed.
pub fn parse(mut rest: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut strings = Vec::new();
    while !rest.is_empty() {
        // Whatever is well-formed is what the writer makes of the string at its end: try each length.
        let size = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let bytes = rest.get(..size.checked_add(4)?)?;
        let string =
            (0..=size.min(12)).map(|header| &bytes[4 + header..]).find(|string| member(string) == bytes)?;
        strings.push(string.to_vec());
        rest = &rest[bytes.len()..];
    }
    let pairs = strings.chunks(2).map(|pair| Some((pair[0].clone(), pair.get(1)?.clone())));
    pairs.collect()
}
