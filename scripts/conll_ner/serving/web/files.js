// Files: read, annotated in batches, and downloaded.
const BATCH = { texts: 100, characters: 50_000 }; // of a request for a file, within the service's limits
const RETRIES = 5; // while the queue is full
let isBusy = false; // with a file

// RETURNS: The text of a record and a function that writes its line with mentions, as
// `spacy ner predict` does. THROWS: Why it can't be annotated.
function readRecord(line, number, name) {
  if (name.endsWith(".txt")) {
    return { text: line, write: (mentions) => JSON.stringify({ source: name, line: number, text: line, mentions }) };
  }
  let row;
  try {
    row = JSON.parse(line);
  } catch {
    throw new Error("not JSON");
  }
  if (typeof row?.text !== "string") throw new Error('no text in the field "text"');
  if ("mentions" in row) throw new Error('has a field "mentions" already; rename it');
  // The line itself is kept: JSON.parse would round its long numbers.
  const start = line.trim().slice(0, -1);
  return { text: row.text, write: (mentions) => `${start}, "mentions": ${JSON.stringify(mentions)}}` };
}

// RETURNS: Batches of records for one request each, and what is wrong with the other lines.
function readBatches(content, name) {
  const most = { texts: Math.min(BATCH.texts, info.limits.max_texts), characters: Math.min(BATCH.characters, info.limits.max_characters) };
  const batches = [];
  const problems = [];
  let size = Infinity;
  for (const [i, line] of content.split("\n").entries()) {
    if (!line.trim()) continue;
    try {
      const record = { number: i + 1, ...readRecord(line.replace(/\r$/, ""), i + 1, name) };
      const length = [...record.text].length;
      const limit = info.limits.max_characters;
      if (length > limit) throw new Error(`${count(length, "character")}; at most ${limit.toLocaleString("en")}`);
      if (/\p{Surrogate}/u.test(record.text)) throw new Error("not valid Unicode");
      if (size + length > most.characters || batches.at(-1).length === most.texts) {
        batches.push([]);
        size = 0;
      }
      batches.at(-1).push(record);
      size += length;
    } catch (error) {
      problems.push(`line ${i + 1}: ${error.message}`);
    }
  }
  return { batches, problems };
}

// RETURNS: The documents of a batch. While the queue is full, it waits and tries again.
async function predictBatch(batch) {
  for (let tries = 0; ; tries++) {
    try {
      return (await request("predict", { text: batch.map((record) => record.text) })).documents;
    } catch (error) {
      if (!error.wait || tries === RETRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.wait));
    }
  }
}

function download(lines, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines.map((line) => `${line}\n`), { type: "application/jsonl" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function annotateFile(file) {
  if (!/\.(txt|jsonl|ndjson)$/.test(file.name)) {
    throw new Error("the name doesn't end in .txt, .jsonl or .ndjson");
  }
  if (!info) await loadInfo();
  if (!info) throw new Error($("access").hidden ? "the service doesn't answer" : "enter your token first");
  let content;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error("not text in UTF-8");
  }
  const { batches, problems } = readBatches(content, file.name);
  const total = batches.reduce((sum, batch) => sum + batch.length, 0);
  const lines = [];
  Object.assign($("progress"), { hidden: false, max: total || 1, value: 0 });
  for (const batch of batches) {
    showStatus(`${file.name}: ${lines.length.toLocaleString("en")} of ${count(total, "text")} annotated…`);
    try {
      const documents = await predictBatch(batch);
      lines.push(...documents.map((document, i) => batch[i].write(document.mentions)));
    } catch (error) {
      problems.push(`from line ${batch[0].number} on: ${error.message}`);
      break;
    }
    $("progress").value = lines.length;
  }
  if (lines.length) download(lines, file.name.replace(/\.\w+$/, ".entities.jsonl"));
  const listed = problems.slice(0, 5).join("; ") + (problems.length > 5 ? `; and ${problems.length - 5} more` : "");
  const done = `${file.name}: ${count(lines.length, "text")} annotated`;
  showStatus(problems.length ? `${done}; left out: ${listed}` : done, problems.length);
}

async function takeFiles(files) {
  if (isBusy || !files.length) return;
  isBusy = $("choose").disabled = true;
  latest++; // an answer for the text doesn't replace the file's messages
  try {
    if (files.length > 1) throw new Error("drop one file at a time");
    await annotateFile(files[0]);
  } catch (error) {
    showStatus(`${files[0].name}: ${error.message}`, true);
  }
  isBusy = $("choose").disabled = false;
  $("progress").hidden = true;
}

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", async () => {
  await takeFiles([...$("file").files]);
  $("file").value = ""; // so that the same file can be chosen again
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return; // text that is dragged into the field
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragover");
    if (name === "drop") takeFiles([...event.dataTransfer.files]);
  });
}
