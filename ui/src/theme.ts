// Mantine in our tokens: its components take their colours, type and corners from tokens.css.
import { type CSSVariablesResolver, type MantineColorsTuple, createTheme } from "@mantine/core";

const accent: MantineColorsTuple = [
  "#edf2fe", "#d6e1fd", "#adc3fb", "#8fb0ff", "#5d86f2", "#3a6aea", "#1a53e0", "#1647c2", "#133ca3", "#0f2f80",
];

export const theme = createTheme({
  fontFamily: "var(--text)",
  fontFamilyMonospace: "var(--code)",
  headings: { fontFamily: "var(--display)" },
  primaryColor: "accent",
  primaryShade: { light: 6, dark: 3 },
  autoContrast: true,
  luminanceThreshold: 0.4,
  colors: { accent },
  defaultRadius: 10,
  cursorType: "pointer",
  respectReducedMotion: true,
  fontSizes: { xs: "0.75rem", sm: "var(--small)", md: "var(--body)", lg: "var(--lead)", xl: "1.25rem" },
  components: {
    Modal: { defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.35, blur: 2 }, radius: 14, padding: "xl" } },
    Button: { defaultProps: { size: "sm" } },
    ...Object.fromEntries(["TextInput", "PasswordInput", "NumberInput", "Textarea", "TagsInput", "FileInput"].map((each) => [each, { defaultProps: { size: "md" } }])),
    Select: { defaultProps: { size: "md", checkIconPosition: "right", allowDeselect: false } },
  },
});

const shared = {
  "--mantine-color-body": "var(--ground)",
  "--mantine-color-text": "var(--ink)",
  "--mantine-color-dimmed": "var(--quiet)",
  "--mantine-color-default": "var(--card)",
  "--mantine-color-default-hover": "var(--well)",
  "--mantine-color-default-border": "var(--line)",
  "--mantine-color-default-color": "var(--ink)",
  "--mantine-color-anchor": "var(--accent)",
  "--mantine-color-error": "var(--bad)",
  "--mantine-color-placeholder": "var(--quiet)",
};

export const variables: CSSVariablesResolver = () => ({ variables: shared, light: shared, dark: shared });
