/** Importing this module makes `img` and `calo-img` elements show .calo files; it exports nothing. */
export {};

declare global {
  interface HTMLElementEventMap {
    /** A preview is shown. */
    "calo-preview": CustomEvent<{ width: number; height: number }>;
    /** The picture is shown. */
    "calo-done": CustomEvent<{ width: number; height: number }>;
    /** It cannot be shown. */
    "calo-error": CustomEvent<{ kind: string; message: string }>;
  }
}
