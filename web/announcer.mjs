// Reads the text to people who do not see it: in whole sentences, not token by token, and no faster
// than a voice can follow.

const SENTENCE = /^[\s\S]*[.!?…]["”’']?(?=\s|$)/;

export class Announcer {
  constructor(element) {
    this.element = element;
    this.begin();
  }

  begin() {
    this.element.replaceChildren();
    this.said = 0;  // characters
  }

  /** `text`: all that is certain until now; `ended`: there will be no more. */
  hear(text, ended) {
    if (text.length < this.said) this.begin();  // the recording was turned back
    const news = text.slice(this.said);
    const part = ended ? news : news.match(SENTENCE)?.[0] ?? '';
    if (part.trim() === '') return;
    this.said += part.length;
    const line = document.createElement('p');
    line.textContent = part;
    this.element.append(line);
  }
}
