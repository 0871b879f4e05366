// An evidence pack (a ZIP file) opened in the browser: its files, without those that are for people or are programs.

const WANTED = /(^|\/)(log\.jsonl|slice|checkpoint|[^/]+\.tlog-proof|[0-9a-f]{64})$/;
const END = 0x06054b50;
const ENTRY = 0x02014b50;
const MOST_BYTES = 4 * 2 ** 30;

/** The files of *pack* that can be checked, each with its name. The key in it is left out: it proves nothing. */
export async function unpack(pack) {
  const tail = new DataView(await pack.slice(Math.max(0, pack.size - 65_557)).arrayBuffer());
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw new Error("it is not a whole ZIP file");
  const [count, size, start] = [tail.getUint16(end + 10, true), tail.getUint32(end + 12, true), tail.getUint32(end + 16, true)];
  const directory = new DataView(await pack.slice(start, start + size).arrayBuffer());
  const files = [];
  for (let at = 0, number = 0; number < count; number++) {
    const entry = entryAt(directory, at);
    at = entry.next;
    if (WANTED.test(entry.name)) files.push(await fileOf(pack, entry));
  }
  if (!files.length) throw new Error("there is nothing to check in it");
  return files;
}

function entryAt(directory, at) {
  if (directory.getUint32(at, true) !== ENTRY) throw new Error("its list of files is damaged");
  const [nameLength, extra, comment] = [28, 30, 32].map((offset) => directory.getUint16(at + offset, true));
  const name = new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, nameLength));
  return {
    name,
    method: directory.getUint16(at + 10, true),
    packed: directory.getUint32(at + 20, true),
    size: directory.getUint32(at + 24, true),
    start: directory.getUint32(at + 42, true),
    next: at + 46 + nameLength + extra + comment,
  };
}

async function fileOf(pack, { name, method, packed, size, start }) {
  if (size >= MOST_BYTES || (method !== 0 && method !== 8)) throw new Error("it is packed in a way that this page cannot open");
  const header = new DataView(await pack.slice(start, start + 30).arrayBuffer());
  const from = start + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const data = pack.slice(from, from + packed);
  const file = method === 0 ? data : await inflated(data, size);
  if (file.size !== size) throw new Error("a file in it is damaged");
  return new File([file], name.split("/").at(-1));
}

/** Not more than *size*: a small file may otherwise become endless. */
function inflated(data, size) {
  let rest = size;
  const bounded = new TransformStream({
    transform(piece, out) {
      rest -= piece.length;
      if (rest < 0) throw new Error("a file in it is longer than its list says");
      out.enqueue(piece);
    },
  });
  return new Response(data.stream().pipeThrough(new DecompressionStream("deflate-raw")).pipeThrough(bounded)).blob();
}
