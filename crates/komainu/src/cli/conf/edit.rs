//! `-e`, `-X`, `-#`, alone and with `-M`, `-F`, `-P`.

use super::file::{Coding, replace};
use super::options::{Action, Edit, Options};
use super::{Called, Fatal, folder};
use config::conf::{MainEdit, MainRequest, MasterEdit, MasterRequest, edit_main, edit_master};

impl Called<'_> {
    pub(super) fn edit(&self, options: &Options) -> Result<(), Fatal> {
        match (options.action, options.edit) {
            (Action::Main, Some(Edit::Set)) => self.edit_main(MainEdit::Set, options),
            (Action::Main, Some(Edit::Remove)) => self.edit_main(MainEdit::Remove, options),
            (Action::Main, Some(Edit::CommentOut)) => self.edit_main(MainEdit::CommentOut, options),
            (Action::Entries, Some(Edit::Set)) => self.edit_master(MasterEdit::SetEntry, options),
            (Action::Entries, Some(Edit::Remove)) => self.edit_master(MasterEdit::RemoveEntry, options),
            (Action::Entries, Some(Edit::CommentOut)) => {
                self.edit_master(MasterEdit::CommentOutEntry, options)
            }
            (Action::Fields, Some(Edit::Set)) => self.edit_master(MasterEdit::SetField, options),
            (Action::Settings, Some(Edit::Set)) => self.edit_master(MasterEdit::SetParameter, options),
            (Action::Settings, Some(Edit::Remove)) => self.edit_master(MasterEdit::RemoveParameter, options),
            // Refused with the options already.
            _ => Err(Fatal("nothing to edit".to_owned())),
        }
    }

    fn edit_main(&self, edit: MainEdit, options: &Options) -> Result<(), Fatal> {
        let (directory, _) = folder(options);
        let path = directory.join("main.cf");
        let requests = |coding: Coding| -> Result<Vec<MainRequest>, Fatal> {
            let words = options.words.iter().map(|word| coding.word(word));
            Ok(words.map(|word| MainRequest::parse(edit, &word)).collect::<Result<_, _>>()?)
        };
        // Before anything is touched.
        requests(Coding::Utf8)?;
        let mut warnings = Vec::new();
        replace(&path, |old| {
            let coding = Coding::of([old]);
            let requests = requests(coding)?;
            let (new, found) = edit_main(&coding.decode(old), &path.display().to_string(), edit, &requests);
            warnings = found;
            Ok(coding.encode(&new))
        })?;
        warnings.iter().for_each(|warning| self.warn(warning));
        Ok(())
    }

    fn edit_master(&self, edit: MasterEdit, options: &Options) -> Result<(), Fatal> {
        let (directory, _) = folder(options);
        let path = directory.join("master.cf");
        let requests = |coding: Coding| -> Result<Vec<MasterRequest>, Fatal> {
            let words = options.words.iter().map(|word| coding.word(word));
            Ok(words.map(|word| MasterRequest::parse(edit, &word)).collect::<Result<_, _>>()?)
        };
        requests(Coding::Utf8)?;
        let mut warnings = Vec::new();
        replace(&path, |old| {
            let coding = Coding::of([old]);
            let requests = requests(coding)?;
            let (new, found) =
                edit_master(&coding.decode(old), &path.display().to_string(), edit, &requests)?;
            warnings = found;
            Ok(coding.encode(&new))
        })?;
        warnings.iter().for_each(|warning| self.warn(warning));
        Ok(())
    }
}
