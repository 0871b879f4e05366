// Text from records, made safe to look at: what is invisible, or turns the direction of writing, is written as its number.
// So is a half of a character (a lone surrogate), which JSON may hold.

const HIDDEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u2800\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const DEEPEST = 20; // levels that are still moved to the right
const LOSSY = new TextDecoder("utf-8", { ignoreBOM: true });

export function visible(text) {
  return text.replace(HIDDEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

/** Bytes as people read them; what is not UTF-8 becomes a mark. */
export function readable(bytes) {
  return visible(LOSSY.decode(bytes));
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/gs;

/** *json*, which must be valid, over lines. Each string and number stays as it is written: a browser would round 2^53 + 1. */
export function laidOut(json) {
  const tokens = json.match(TOKEN);
  let [text, depth] = ["", 0];
  const line = () => `\n${"  ".repeat(Math.min(depth, DEEPEST))}`;
  tokens.forEach((token, at) => {
    if ("}]".includes(token)) depth -= 1;
    if ("}]".includes(token) && !"{[".includes(tokens[at - 1])) text += line();
    text += token;
    if ("{[".includes(token)) depth += 1;
    if (token === ":") text += " ";
    else if (token === "," || ("{[".includes(token) && !"}]".includes(tokens[at + 1]))) text += line();
  });
  return text;
}

export function number(value) {
  return value.toLocaleString("en");
}
