//! Writes what the fuzz targets begin with: `cargo run -p idiolect-llm --features testing --example fuzz_seeds`.
//! Small sound and hostile GGUF files, and chat templates of the forms that published models use.

use std::{fs, io, path::Path};

use idiolect_llm::testing::{Storage, TinyGguf, hostile_ggufs, tiny_gguf};

const TEMPLATES: &[&str] = &[
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{{ '<start_of_turn>' + m['role'] + '\n' + (first if loop.first else '') + (m['content'] | trim) + '<end_of_turn>\n' }}{% endfor %}",
    "{%- set ns = namespace(found=false, n=0) -%}{%- for m in messages[::-1] -%}{%- set ns.n = ns.n + 1 -%}{%- if '</think>' in m.content -%}{{ m.content.split('</think>')[-1].lstrip('\n') }}{%- else -%}{{ m.content | tojson }}{%- endif -%}{%- endfor -%}",
    "{% macro turn(role, text) %}<|{{ role }}|>{{ text }}<|end|>{% endmacro %}{% for m in messages %}{{ turn(m.role, m.content.strip()) }}{% endfor %}{{ strftime_now('%d %b %Y') }}",
    "{% set s = 'x' * 1000 %}{% for a in range(100) %}{% set s = s ~ s %}{{ s | replace('x', s) | length }}{% endfor %}",
];

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let write = |target: &str, name: String, bytes: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    // With as few weights as there can be: what is read is the header.
    let tiny = TinyGguf {
        layers: 1,
        hidden: 32,
        heads: 2,
        kv_heads: 1,
        feed_forward: 32,
        ..TinyGguf::default()
    };
    for (name, storage) in [
        ("q4_1", Storage::Q4_1),
        ("f32", Storage::F32),
        ("q8_0", Storage::Q8_0),
    ] {
        let file = tiny_gguf(&TinyGguf {
            storage,
            ..tiny.clone()
        });
        write("gguf", name.to_owned(), &file)?;
    }
    for (i, (_, bytes)) in hostile_ggufs().iter().enumerate() {
        write(
            "gguf",
            format!("hostile-{i}"),
            &bytes[..bytes.len().min(20_000)],
        )?;
    }
    for (i, template) in TEMPLATES.iter().enumerate() {
        // The first bytes choose the target's way of reading: source as it stands, two messages.
        for lead in [[0xff_u8; 8], [0x55; 8]] {
            let bytes: Vec<u8> = lead.into_iter().chain(template.bytes()).collect();
            write("template", format!("{i}-{:02x}", lead[0]), &bytes)?;
        }
    }
    for i in 0..16_u8 {
        let bytes: Vec<u8> = (0..96_u8)
            .map(|j| j.wrapping_mul(31).wrapping_add(i * 13))
            .collect();
        write("model", format!("{i}"), &bytes)?;
        write("template", format!("composed-{i}"), &bytes.repeat(4))?;
    }
    Ok(())
}
