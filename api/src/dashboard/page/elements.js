/** @param {string} id of an element that index.html has */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Only what is another: a screen reader, and the browser's layout, are left alone otherwise.
 * @param {Element | null} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
