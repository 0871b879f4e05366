// Text from records, made safe to look at: what is invisible, or turns the direction of writing, is written as its number.

const HIDDEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const LOSSY = new TextDecoder("utf-8", { ignoreBOM: true });

export function visible(text) {
  return text.replace(HIDDEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

/** Bytes as people read them; what is not UTF-8 becomes a mark. */
export function readable(bytes) {
  return visible(LOSSY.decode(bytes));
}

export function number(value) {
  return value.toLocaleString("en");
}
