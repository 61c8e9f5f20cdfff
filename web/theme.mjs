// Light, dark, or as the system has it.

const KEY = 'evo-theme';
const NAMES = {system: 'system', light: 'light', dark: 'dark'};
const ORDER = Object.keys(NAMES);

/** `onChange()`: colours are other ones now. */
export function setUpTheme(button, onChange) {
  let theme = localStorage.getItem(KEY);
  const apply = (name) => {
    theme = ORDER.includes(name) ? name : 'system';
    document.documentElement.dataset.theme = theme;
    button.textContent = `Colours: ${NAMES[theme]}`;
  };
  apply(theme);
  button.addEventListener('click', () => {
    apply(ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length]);
    localStorage.setItem(KEY, theme);
    onChange();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
}
