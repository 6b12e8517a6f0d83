// Projects: parts of the organisation's work, each with its own keys, a shorter time of keeping, and limits for all its keys.
import { Button, Menu, NumberInput, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useCurrency, useMay } from "../api/me";
import { type Limits, type Project, allowances, projects } from "../api/projects";
import { day } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Ask } from "./Dialog";
import { LimitFields, limitWords } from "./LimitFields";
import { useOnce } from "./once";
import { Empty, Problem, Section, State } from "./Page";
import { Row, Rows } from "./Rows";

export function Projects() {
  useLanguage();
  const manages = useMay()("PATCH /api/projects/{project_id}");
  const found = useQuery(projects);
  const limits = useQuery(allowances);
  const [editing, setEditing] = useState<Project | "new" | null>(null);
  const of = (id: string) => limits.data?.find((each) => each.kind === "project" && each.id === id)?.limits ?? {};
  const create = manages ? <Button onClick={() => setEditing("new")}>{t("Create a project")}</Button> : undefined;
  return (
    <Section title={t("Projects")} note={t("A key can belong to a project. The project may shorten how long content is kept, and limit what its keys use together.")} act={found.data?.length ? create : undefined}>
      <Rows
        of={found}
        none={
          <Empty title={t("No projects yet")} act={create}>
            {t("Without one, keys belong to nobody but their owner, and the limits of each hold alone.")}
          </Empty>
        }
        row={(each) => <One key={each.id} of={each} limits={of(each.id)} edit={manages ? () => setEditing(each) : null} />}
      />
      <Problem error={limits.error} />
      {editing && <Form of={editing === "new" ? null : editing} before={editing === "new" ? {} : of(editing.id)} close={() => setEditing(null)} />}
    </Section>
  );
}

function One({ of: project, limits, edit }: { of: Project; limits: Limits; edit: (() => void) | null }) {
  const queries = useQueryClient();
  const currency = useCurrency();
  const [archiving, setArchiving] = useState(false);
  const move = async (archived: boolean) => {
    await told(api.PATCH("/api/projects/{project_id}", { params: { path: { project_id: project.id } }, body: { archived } }));
    await queries.invalidateQueries({ queryKey: ["projects"] });
  };
  const back = useOnce({ mutationFn: () => move(false) });
  return (
    <Row
      title={
        <>
          <bdi>{project.name || t("Unnamed project")}</bdi> {project.archived_at && <State tone="plain">{t("archived")}</State>}
        </>
      }
      note={
        <>
          <span>{t("created {day}", { day: day(project.created_at) })}</span>
          {project.keep_h !== null && project.keep_h !== undefined && <span>{t("keeps content {hours} h at most", { hours: project.keep_h })}</span>}
          {limitWords(limits, currency).map((each) => (
            <span key={each}>{each}</span>
          ))}
        </>
      }
      end={
        edit && (
          <Menu position="bottom-end">
            <Menu.Target>
              <Button variant="default" size="xs" loading={back.isPending} aria-label={t("Manage {name}", { name: project.name })}>
                {t("Manage")}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={edit}>{t("Rules")}</Menu.Item>
              {project.archived_at ? (
                <Menu.Item onClick={() => back.run()}>{t("Take out of the archive")}</Menu.Item>
              ) : (
                <Menu.Item className="danger-text" onClick={() => setArchiving(true)}>
                  {t("Archive")}
                </Menu.Item>
              )}
            </Menu.Dropdown>
          </Menu>
        )
      }
    >
      <Problem error={back.error} />
      {archiving && (
        <Ask isDangerous title={t("Archive this project?")} go={t("Archive")} close={() => setArchiving(false)} run={() => move(true)}>
          <p>{t("Its keys stop working at once. They work again when it is taken out of the archive.")}</p>
        </Ask>
      )}
    </Row>
  );
}

function Form({ of: project, before, close }: { of: Project | null; before: Limits; close: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState(project?.name ?? "");
  const [keepH, setKeepH] = useState<number | string>(project?.keep_h ?? "");
  const [limits, setLimits] = useState<Limits>(before);
  const [made, setMade] = useState(project?.id ?? "");
  const currency = useCurrency();
  const save = async () => {
    const body = { name: name.trim(), keep_h: keepH === "" ? null : Number(keepH) };
    const id = made || (await told(api.POST("/api/projects", { body }))).id;
    setMade(id); // so that what fails from here on, and is sent again, makes no second one
    const path = { params: { path: { project_id: id } } };
    if (made) await told(api.PATCH("/api/projects/{project_id}", { ...path, body }));
    if (JSON.stringify(limits) !== JSON.stringify(before)) await told(api.PUT("/api/projects/{project_id}/limits", { ...path, body: limits }));
  };
  return (
    <Ask
      title={project ? t("Rules of this project") : t("Create a project")}
      size="lg"
      go={project ? t("Save") : t("Create the project")}
      close={close}
      isReady={name.trim() !== ""}
      run={() => save().finally(() => Promise.all([queries.invalidateQueries({ queryKey: ["projects"] }), queries.invalidateQueries({ queryKey: ["limits"] })]))}
    >
      <TextInput label={t("Name")} description={t("Everybody in your organisation sees it; it is stored sealed.")} required withAsterisk={false} maxLength={200} value={name} onChange={(event) => setName(event.currentTarget.value)} data-autofocus />
      <div className="grid-2">
        <NumberInput label={t("Keep content at most (hours)")} placeholder={t("as the organisation says")} min={0} allowDecimal={false} value={keepH} onChange={setKeepH} />
        <LimitFields of={limits} currency={currency} change={setLimits} />
      </div>
    </Ask>
  );
}
