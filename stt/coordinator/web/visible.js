// Names and messages as they are to be shown; stt/domain/visible_text.py does the same.

// What has no glyph, and what turns the direction of writing; variation selectors choose a glyph.
const HIDDEN =
  /(?![\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f\u{e0100}-\u{e01ef}])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu;
// Joiners belong behind letters of the Near East and India, and between emoji.
const LONE_JOINER =
  /(^|[^\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Nko}\p{Script=Syriac}\p{Script=Thaana}\p{M}\p{So}\p{Sk}])[\u200c\u200d]+/gu;

/** The text with � in place of each character that does not show or disguises others. */
export const visible = (text) =>
  String(text ?? "")
    .replace(HIDDEN, "\ufffd")
    .replace(LONE_JOINER, "$1\ufffd");
