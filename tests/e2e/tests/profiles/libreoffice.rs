use crate::{assert_failed_without, assert_well_behaved, material};
use lazaret_e2e::{Ran, Runner, as_root_and_user, installed};

as_root_and_user![
    a_letter_becomes_a_pdf_with_its_text,
    a_page_and_a_sheet_become_pdfs_and_other_documents,
    a_document_of_100_pages_becomes_a_pdf,
    a_letter_cut_short_hurts_nobody,
];

fn there() -> bool {
    installed("/usr/bin/soffice", "libreoffice-writer-nogui") && installed("/usr/bin/pdftotext", "poppler-utils")
}

fn convert(runner: &Runner, from: &str, kind: &str, to: &str) -> Ran {
    runner.run(&[
        "--profile",
        "libreoffice",
        "--in",
        from,
        "--out",
        to,
        "--",
        "soffice",
        "--headless",
        "--convert-to",
        kind,
        from,
    ])
}

/// The text of a PDF, which is not trusted either.
fn text(runner: &Runner, pdf: &str) -> String {
    let ran = runner.run(&["--profile", "poppler", "--in", pdf, "--", "pdftotext", "-layout", pdf, "-"]);
    assert_well_behaved(&ran);
    ran.stdout()
}

fn a_letter_becomes_a_pdf_with_its_text(runner: &Runner) {
    if !there() {
        return;
    }
    runner.bring(&material("letter.docx"));

    let ran = convert(runner, "letter.docx", "pdf", "letter.pdf");

    assert_well_behaved(&ran);
    assert!(text(runner, "letter.pdf").contains("Paragraph 59 of the quarantine rules: nothing leaves the island."));
}

fn a_page_and_a_sheet_become_pdfs_and_other_documents(runner: &Runner) {
    if !there() || !installed("/usr/lib/libreoffice/program/libsclo.so", "libreoffice-calc-nogui") {
        return;
    }
    runner.put("page.html", "<html><body><h1>Lazaret</h1><p>Forty days.</p></body></html>");
    runner.put("ports.csv", "port,ships\nVenice,40\nRagusa,30\n");

    let odt = convert(runner, "page.html", "odt:writer8", "page.odt");
    let pdf = convert(runner, "page.odt", "pdf", "page.pdf");
    let sheet = convert(runner, "ports.csv", "pdf", "ports.pdf");
    let excel = convert(runner, "ports.csv", "xlsx", "ports.xlsx");

    for ran in [&odt, &pdf, &sheet, &excel] {
        assert_well_behaved(ran);
    }
    assert!(text(runner, "page.pdf").contains("Forty days."));
    assert!(text(runner, "ports.pdf").contains("Ragusa"));
    assert!(runner.read("ports.xlsx").starts_with(b"PK"));
}

fn a_document_of_100_pages_becomes_a_pdf(runner: &Runner) {
    if !there() {
        return;
    }
    let mut page = String::from("<html><body>");
    for number in 1..=100 {
        let break_before = if number == 1 { "" } else { " style='page-break-before: always'" };
        page += &format!("<h1{break_before}>Ship {number}</h1>");
        for line in 0..20 {
            page += &format!(
                "<p>Line {line} of the log of ship {number}, which waits in the roads for its forty days.</p>"
            );
        }
    }
    runner.put("book.html", page);

    let ran = convert(runner, "book.html", "pdf:writer_web_pdf_Export", "book.pdf");

    assert_well_behaved(&ran);
    assert!(text(runner, "book.pdf").contains("Line 19 of the log of ship 100"));
    let pages = runner.run(&["--profile", "poppler", "--in", "book.pdf", "--", "pdfinfo", "book.pdf"]).succeeded();
    let pages = pages.lines().find_map(|line| line.strip_prefix("Pages:")).map(str::trim);
    assert_eq!(pages, Some("100"));
}

fn a_letter_cut_short_hurts_nobody(runner: &Runner) {
    if !there() {
        return;
    }
    let letter = std::fs::read(material("letter.docx")).expect("a fixture can be read");
    runner.put("cut.docx", &letter[..900]);

    let ran = convert(runner, "cut.docx", "pdf", "cut.pdf");

    assert_failed_without("cut.pdf", runner, &ran);
}
